#include "x265_resources.hpp"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <thread>

namespace bpg {
namespace {

std::atomic<std::uint64_t> g_failed{0};

}  // namespace

std::uint64_t failed_allocations() { return g_failed.load(std::memory_order_relaxed); }

#ifdef BPG_X265_IS_WATCHED

// The linker puts the one in place of posix_memalign, where x265's memory comes from, and calls
// that the other.
extern "C" int __real_posix_memalign(void** memory, std::size_t alignment, std::size_t size);
extern "C" int __wrap_posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  const int error = __real_posix_memalign(memory, alignment, size);
  if (error != 0) {
    g_failed.fetch_add(1, std::memory_order_relaxed);
  }
  return error;
}

// A thread that has just been joined may still count for a while.
extern "C" int __real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
extern "C" int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                     void* (*run)(void*), void* argument) {
  constexpr int kTries = 20;
  int error = EAGAIN;
  for (int i = 0; i < kTries && error == EAGAIN; ++i) {
    if (i > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    error = __real_pthread_create(thread, attributes, run, argument);
  }
  return error;
}

#endif

}  // namespace bpg
