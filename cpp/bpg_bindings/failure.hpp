#pragma once

#include <string>

namespace npp {

/// An exception that a pool thread met, kept until the GIL is there: one type name and one message.
struct Failure {
  enum class Kind { none, encode, decode, unsupported, memory, other };
  Kind kind = Kind::none;
  std::string message;

  [[nodiscard]] explicit operator bool() const { return kind != Kind::none; }
  /// What is being handled right now; lack of memory where there is none for its message. Call it
  /// in a catch block.
  static Failure current() noexcept;
};

}  // namespace npp
