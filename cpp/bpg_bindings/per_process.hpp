#pragma once

#include <pthread.h>

#include <mutex>

namespace npp {

/// The one T of this process, made when it is first asked for. A forked child gets a fresh one and
/// leaves the old one behind: threads that belong to it do not exist there. It is never destroyed,
/// since threads may outlive static destructors.
template <typename T>
class PerProcess {
 public:
  static T& get() {
    static_cast<void>(kAtForks);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (instance_ == nullptr) {
      instance_ = new T;
    }
    return *instance_;
  }

  /// A lock that is free in a forked child.
  static std::mutex& mutex() { return mutex_; }

 private:
  static void before_fork() { mutex_.lock(); }
  static void after_fork() { mutex_.unlock(); }
  static void after_fork_in_child() {
    instance_ = nullptr;
    mutex_.unlock();
  }

  // Registered as the library is loaded: the first T may be made while the process forks.
  inline static const int kAtForks = pthread_atfork(before_fork, after_fork, after_fork_in_child);
  inline static std::mutex mutex_;
  inline static T* instance_ = nullptr;
};

}  // namespace npp
