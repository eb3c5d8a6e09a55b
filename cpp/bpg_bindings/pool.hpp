#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace npp {

template <typename>
class PerProcess;

/// A batch of independent items that the pool's threads work through, costliest first.
class Job {
 public:
  /// `costs` orders the items; at most `max_threads` of them run at once.
  Job(const std::vector<double>& costs, int max_threads);
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  /// Waits until no item is left to run, or for `timeout`. True when all is done.
  bool wait_for(std::chrono::milliseconds timeout);
  void wait();
  /// Items that have not begun never will. Those that run finish, or stop early: wait for them.
  void cancel();

 protected:
  /// Works on one item, on any thread, without the GIL. Keeps its own errors.
  virtual void run(std::size_t item) noexcept = 0;
  /// Nobody waits for the results any more: a long item may stop early.
  [[nodiscard]] bool cancelled() const { return cancelled_; }

 private:
  friend class Pool;
  bool take(std::size_t& item);
  void finish_one();
  [[nodiscard]] bool has_work();

  std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
  int running_ = 0;
  int max_threads_;
  std::atomic<bool> cancelled_{false};
};

/// The threads of this process that encode and decode. One for all, so that many callers at once do
/// not start more threads than the largest number that one of them asked for.
class Pool {
 public:
  /// The pool of this process; a forked child gets a fresh one.
  static Pool& instance();

  /// Starts a job; `threads` workers exist from now on.
  void submit(const std::shared_ptr<Job>& job, int threads);
  /// Works on a job's items on the calling thread, which would otherwise wait for them, for about
  /// `time`: what waking a worker costs is much of a small picture's time. Does nothing where as
  /// many threads are at work as the pool has.
  void help(const std::shared_ptr<Job>& job, std::chrono::milliseconds time);
  /// Lets running items finish and ends all threads. Later jobs start new ones.
  void shut_down();

 private:
  template <typename>
  friend class PerProcess;
  struct State;
  Pool();
  std::shared_ptr<State> state();
  std::shared_ptr<State> state_;
};

}  // namespace npp
