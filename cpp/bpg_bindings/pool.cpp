#include "pool.hpp"

#include <algorithm>
#include <iterator>
#include <list>
#include <new>
#include <numeric>
#include <system_error>
#include <thread>
#include <unordered_map>

#include "bpg/signals.hpp"
#include "per_process.hpp"

namespace npp {

Job::Job(const std::vector<double>& costs, int max_threads, std::uint64_t sequence)
    : order_(costs.size()), max_threads_(max_threads), sequence_(sequence) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::stable_sort(order_.begin(), order_.end(),
                   [&costs](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
}

bool Job::wait_for(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return finished_.wait_for(lock, timeout,
                            [this] { return next_ == order_.size() && running_ == 0; });
}

void Job::wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, [this] { return next_ == order_.size() && running_ == 0; });
}

void Job::cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  next_ = order_.size();
  finished_.notify_all();
}

bool Job::has_work() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return next_ < order_.size();
}

bool Job::has_work_for_a_thread() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return next_ < order_.size() && running_ < max_threads_;
}

std::size_t Job::most_threads() const {
  return std::min(order_.size(), static_cast<std::size_t>(max_threads_));
}

bool Job::take(std::size_t& item) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (next_ == order_.size() || running_ == max_threads_) {
    return false;
  }
  item = order_[next_++];
  ++running_;
  return true;
}

void Job::finish_one() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --running_;
  if (next_ == order_.size() && running_ == 0) {
    finished_.notify_all();
  }
}

struct Pool::State : std::enable_shared_from_this<Pool::State> {
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable nobody_at_work;
  std::list<std::shared_ptr<Job>> jobs;  // workers move them about, and have no memory to ask for
  // Items at work, of all jobs of a sequence, each of which has the counter too.
  std::unordered_map<std::uint64_t, std::shared_ptr<int>> in_sequence;
  std::vector<std::thread> threads;
  // Threads that may be at work at once: callers that ask for one each have all cores together.
  std::size_t limit = std::max(1U, std::thread::hardware_concurrency());
  std::size_t at_work = 0;    // threads that run an item, helping callers among them
  std::size_t woken = 0;      // workers that were told to look for work and have not begun to
  std::size_t asleep = 0;     // workers that were not told to
  std::size_t abandoned = 0;  // workers in items that nobody waits for; none of the others
  bool stopping = false;

  // Wakes up to `count` workers, or starts them, as far as more may be at work.
  void wake(std::size_t count) {
    for (; count > 0 && at_work + woken < limit; --count) {
      if (asleep > 0) {
        --asleep;
      } else if (threads.size() >= limit + abandoned || !start_worker()) {
        return;
      }
      ++woken;
      work.notify_one();
    }
  }

  // False where the system has no more threads or memory to give: those that are there do the work.
  bool start_worker() {
    const bpg::SignalsBlocked for_its_threads;
    try {
      threads.emplace_back([self = shared_from_this()] { self->work_until_stopped(); });
    } catch (const std::system_error&) {
      return false;
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  // The job that was at the front is behind all others, but for those that follow it in its
  // sequence.
  void put_back(const std::shared_ptr<Job>& job) {
    if (job->sequence_ == 0) {
      jobs.splice(jobs.end(), jobs, jobs.begin());
      return;
    }
    std::stable_partition(jobs.begin(), jobs.end(), [sequence = job->sequence_](const auto& other) {
      return other->sequence_ != sequence;
    });
  }

  // Whether its sequence lets a job begin an item: jobs of a sequence have as many threads together
  // as each.
  [[nodiscard]] static bool sequence_is_free(const Job& job) {
    return job.sequence_at_work_ == nullptr || *job.sequence_at_work_ < job.max_threads_;
  }

  // The counter of a sequence. Made while the caller can still be told that there is no memory for
  // it, and kept as long as one of its jobs is there.
  std::shared_ptr<int> counter_of(std::uint64_t sequence) {
    for (auto entry = in_sequence.begin(); entry != in_sequence.end();) {
      entry = entry->second.use_count() == 1 ? in_sequence.erase(entry) : std::next(entry);
    }
    if (sequence == 0) {
      return nullptr;
    }
    const auto found = in_sequence.find(sequence);
    if (found != in_sequence.end()) {
      return found->second;
    }
    return in_sequence.emplace(sequence, std::make_shared<int>(0)).first->second;
  }

  [[nodiscard]] bool anything_can_begin() const {
    return std::any_of(jobs.begin(), jobs.end(), [](const auto& job) {
      return sequence_is_free(*job) && job->has_work_for_a_thread();
    });
  }

  // Takes an item of the first job that has one to give; jobs take turns.
  std::shared_ptr<Job> take(std::size_t& item) {
    for (std::size_t left = jobs.size(); left > 0; --left) {
      std::shared_ptr<Job> job = jobs.front();
      const bool taken = sequence_is_free(*job) && job->take(item);
      if (job->has_work()) {
        put_back(job);
      } else {
        jobs.pop_front();
      }
      if (taken) {
        return job;
      }
    }
    return nullptr;
  }

  std::shared_ptr<Job> take_if_allowed(std::size_t& item) {
    return !stopping && at_work < limit ? take(item) : nullptr;
  }

  void remove(const std::shared_ptr<Job>& job) { jobs.remove(job); }

  void run(Job& job, std::size_t item, std::unique_lock<std::mutex>& lock) {
    ++at_work;
    ++job.at_work_;
    if (job.sequence_at_work_ != nullptr) {
      ++*job.sequence_at_work_;
    }
    lock.unlock();
    job.run(item);
    job.finish_one();
    lock.lock();
    --job.at_work_;
    if (job.abandoned_) {
      --abandoned;
    } else {
      leave(job, 1);
    }
  }

  // So many threads are no longer in a job's items, or no longer count.
  void leave(const Job& job, std::size_t count) {
    at_work -= count;
    if (job.sequence_at_work_ != nullptr) {
      *job.sequence_at_work_ -= static_cast<int>(count);
    }
  }

  void abandon(Job& job) {
    if (job.abandoned_ || job.pool_ != this) {
      return;
    }
    job.abandoned_ = true;
    abandoned += job.at_work_;
    leave(job, job.at_work_);
    wake(limit);
  }

  void work_until_stopped() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      work.wait(lock, [this] { return woken > 0 || stopping; });
      if (stopping) {
        return;
      }
      --woken;
      work_through(lock);
      ++asleep;
    }
  }

  void work_through(std::unique_lock<std::mutex>& lock) {
    std::size_t item = 0;
    std::shared_ptr<Job> job = take_if_allowed(item);
    while (job) {
      run(*job, item, lock);
      std::shared_ptr<Job> next = take_if_allowed(item);
      if (next != job && anything_can_begin()) {
        // The job's own limit or its sequence's held it back, and this thread goes elsewhere.
        wake(1);
      }
      job = std::move(next);
    }
  }

  void help(const std::shared_ptr<Job>& job, std::chrono::steady_clock::time_point end) {
    std::unique_lock<std::mutex> lock(mutex);
    std::size_t item = 0;
    while (!stopping && at_work < limit && std::chrono::steady_clock::now() < end &&
           sequence_is_free(*job) && job->take(item)) {
      if (!job->has_work()) {
        remove(job);
      }
      run(*job, item, lock);
    }
    if (stopping && at_work == 0) {
      nobody_at_work.notify_all();
    } else if (anything_can_begin()) {
      wake(1);  // this thread was one of those that may be at work
    }
  }
};

Pool::Pool() : state_(std::make_shared<State>()) {}

Pool& Pool::instance() { return PerProcess<Pool>::get(); }

std::shared_ptr<Pool::State> Pool::state() {
  const std::lock_guard<std::mutex> lock(PerProcess<Pool>::mutex());
  return state_;
}

void Pool::submit(const std::shared_ptr<Job>& job, int threads, bool caller_helps) {
  for (;;) {
    const std::shared_ptr<State> current = state();
    const std::lock_guard<std::mutex> lock(current->mutex);
    if (current->stopping) {
      continue;  // shut_down has put a fresh state in its place
    }
    current->limit = std::max(current->limit, static_cast<std::size_t>(threads));
    job->sequence_at_work_ = current->counter_of(job->sequence_);
    current->jobs.push_back(job);
    job->pool_ = current.get();
    const std::size_t most = job->most_threads();
    current->wake(caller_helps && most > 0 ? most - 1 : most);
    return;
  }
}

void Pool::help(const std::shared_ptr<Job>& job, std::chrono::milliseconds time) {
  state()->help(job, std::chrono::steady_clock::now() + time);
}

bool Pool::needs_help() { return thread_count() == 0; }

void Pool::cancel(const std::shared_ptr<Job>& job) {
  job->cancel();
  const std::shared_ptr<State> current = state();
  const std::lock_guard<std::mutex> lock(current->mutex);
  current->remove(job);
}

void Pool::abandon(const std::shared_ptr<Job>& job) {
  cancel(job);
  const std::shared_ptr<State> current = state();
  const std::lock_guard<std::mutex> lock(current->mutex);
  current->abandon(*job);
}

std::size_t Pool::thread_count() {
  const std::shared_ptr<State> current = state();
  const std::lock_guard<std::mutex> lock(current->mutex);
  return current->threads.size();
}

void Pool::shut_down() {
  const std::shared_ptr<State> old = state();
  {
    const std::lock_guard<std::mutex> lock(PerProcess<Pool>::mutex());
    state_ = std::make_shared<State>();
  }
  std::vector<std::thread> threads;
  {
    const std::lock_guard<std::mutex> lock(old->mutex);
    old->stopping = true;
    for (const std::shared_ptr<Job>& job : old->jobs) {
      job->cancel();
    }
    old->jobs.clear();
    threads.swap(old->threads);
    old->work.notify_all();
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::unique_lock<std::mutex> lock(old->mutex);
  old->nobody_at_work.wait(lock, [&old] { return old->at_work == 0; });  // helping callers
}

}  // namespace npp
