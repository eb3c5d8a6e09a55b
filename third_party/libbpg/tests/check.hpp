#pragma once

#include <cstdio>

// CHECK(condition) and CHECK_THROWS(statement, Exception) print where they fail and go on. A test
// program ends with `return bpg_test::report();`.

namespace bpg_test {

inline int& checks() {
  static int count = 0;
  return count;
}

inline int& failures() {
  static int count = 0;
  return count;
}

inline void check(bool ok, const char* what, const char* file, int line) {
  ++checks();
  if (!ok) {
    ++failures();
    std::printf("%s:%d: failed: %s\n", file, line, what);
  }
}

/// Prints a summary and gives main's exit status.
inline int report() {
  std::printf("%d checks, %d failed\n", checks(), failures());
  return failures() == 0 && checks() > 0 ? 0 : 1;
}

}  // namespace bpg_test

#define CHECK(condition) \
  bpg_test::check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

#define CHECK_THROWS(statement, Exception)                                         \
  do {                                                                             \
    bool thrown = false;                                                           \
    try {                                                                          \
      statement;                                                                   \
    } catch (const Exception&) {                                                   \
      thrown = true;                                                               \
    }                                                                              \
    bpg_test::check(thrown, #statement " throws " #Exception, __FILE__, __LINE__); \
  } while (false)
