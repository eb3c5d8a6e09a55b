#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace npp {

template <typename>
class PerProcess;

/// A batch of independent items that the pool's threads work through, costliest first.
class Job {
 public:
  /// `costs` orders the items; at most `max_threads` of them run at once. Jobs of one `sequence`
  /// other than 0 follow each other as they were submitted: none begins before those ahead have
  /// begun all of their items, and together they have `max_threads` at once.
  Job(const std::vector<double>& costs, int max_threads, std::uint64_t sequence = 0);
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  /// Waits until no item is left to run, or for `timeout`. True when all is done.
  bool wait_for(std::chrono::milliseconds timeout);
  void wait();
  /// Items that have not begun never will. Those that run finish, or stop early: wait for them.
  void cancel();
  /// Nobody waits for the results any more: a long item may stop early.
  [[nodiscard]] bool cancelled() const { return cancelled_; }

 protected:
  /// Works on one item, on any thread, without the GIL. Keeps its own errors.
  virtual void run(std::size_t item) noexcept = 0;

 private:
  friend class Pool;
  bool take(std::size_t& item);
  void finish_one();
  [[nodiscard]] bool has_work();
  [[nodiscard]] bool has_work_for_a_thread();
  [[nodiscard]] std::size_t most_threads() const;

  std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
  int running_ = 0;
  int max_threads_;
  std::uint64_t sequence_;
  // Of the pool, under its lock: which threads have it, items that they are in, and whether nobody
  // waits for these.
  const void* pool_ = nullptr;
  std::size_t at_work_ = 0;
  bool abandoned_ = false;
  std::shared_ptr<int> sequence_at_work_;  // items of all jobs of its sequence; null without one
  std::atomic<bool> cancelled_{false};
};

/// The threads of this process that encode and decode. One for all, so that many callers at once do
/// not start more threads than there are cores, or than one of them asked for where that is more.
/// They are started when there is work that no idle thread can take, and no more of them are woken
/// than there is work for.
class Pool {
 public:
  /// The pool of this process; a forked child gets a fresh one.
  static Pool& instance();

  /// Queues a job; from now on at least `threads` threads may be at work. `caller_helps`: the
  /// caller takes one of the items itself, by help() soon after.
  void submit(const std::shared_ptr<Job>& job, int threads, bool caller_helps = false);
  /// Works on a job's items on the calling thread, which would otherwise wait for them, for about
  /// `time`: what waking a worker costs is much of a small picture's time. Does nothing where as
  /// many threads are at work as are allowed.
  void help(const std::shared_ptr<Job>& job, std::chrono::milliseconds time);
  /// Whether items can only be worked on by help(): not one thread could be started.
  [[nodiscard]] bool needs_help();
  /// Cancels a job and forgets it.
  void cancel(const std::shared_ptr<Job>& job);
  /// The same of a job that nobody waits for: what is being worked on holds up no other job, for
  /// which more threads than there are cores may be at work meanwhile.
  void abandon(const std::shared_ptr<Job>& job);
  /// Lets running items finish and ends all threads. Later jobs start new ones.
  void shut_down();
  /// Threads that were started and have not ended.
  [[nodiscard]] std::size_t thread_count();

 private:
  template <typename>
  friend class PerProcess;
  struct State;
  Pool();
  std::shared_ptr<State> state();
  std::shared_ptr<State> state_;
};

}  // namespace npp
