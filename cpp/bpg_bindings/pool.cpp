#include "pool.hpp"

#include <algorithm>
#include <deque>
#include <numeric>
#include <thread>

#include "per_process.hpp"

namespace npp {

Job::Job(const std::vector<double>& costs, int max_threads)
    : order_(costs.size()), max_threads_(max_threads) {
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

struct Pool::State {
  std::mutex mutex;
  std::condition_variable work;
  std::deque<std::shared_ptr<Job>> jobs;
  std::vector<std::thread> threads;
  std::size_t at_work = 0;  // threads that run an item, helping callers among them
  bool stopping = false;

  [[nodiscard]] bool has_a_thread_to_spare() const { return at_work < threads.size(); }

  // Takes an item of the first job that has one to give; jobs take turns.
  std::shared_ptr<Job> take(std::size_t& item) {
    for (std::size_t left = jobs.size(); left > 0; --left) {
      std::shared_ptr<Job> job = std::move(jobs.front());
      jobs.pop_front();
      const bool taken = job->take(item);
      if (job->has_work()) {
        jobs.push_back(job);
      }
      if (taken) {
        return job;
      }
    }
    return nullptr;
  }

  void run(Job& job, std::size_t item, std::unique_lock<std::mutex>& lock) {
    ++at_work;
    lock.unlock();
    job.run(item);
    job.finish_one();
    lock.lock();
    --at_work;
  }

  void work_until_stopped() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!stopping) {
      std::size_t item = 0;
      std::shared_ptr<Job> job = has_a_thread_to_spare() ? take(item) : nullptr;
      if (!job) {
        work.wait(lock);
        continue;
      }
      run(*job, item, lock);
      work.notify_one();  // the job may have been held back by its own limit
    }
  }

  void help(Job& job, std::chrono::steady_clock::time_point end) {
    std::unique_lock<std::mutex> lock(mutex);
    bool helped = false;
    std::size_t item = 0;
    while (!stopping && has_a_thread_to_spare() && std::chrono::steady_clock::now() < end &&
           job.take(item)) {
      run(job, item, lock);
      helped = true;
    }
    if (helped) {
      work.notify_all();  // workers were held back, or shut_down waits
    }
  }
};

Pool::Pool() : state_(std::make_shared<State>()) {}

Pool& Pool::instance() { return PerProcess<Pool>::get(); }

std::shared_ptr<Pool::State> Pool::state() {
  const std::lock_guard<std::mutex> lock(PerProcess<Pool>::mutex());
  return state_;
}

void Pool::submit(const std::shared_ptr<Job>& job, int threads) {
  for (;;) {
    const std::shared_ptr<State> current = state();
    const std::lock_guard<std::mutex> lock(current->mutex);
    if (current->stopping) {
      continue;  // shut_down has put a fresh state in its place
    }
    while (current->threads.size() < static_cast<std::size_t>(threads)) {
      current->threads.emplace_back([current] { current->work_until_stopped(); });
    }
    current->jobs.push_back(job);
    current->work.notify_all();
    return;
  }
}

void Pool::help(const std::shared_ptr<Job>& job, std::chrono::milliseconds time) {
  state()->help(*job, std::chrono::steady_clock::now() + time);
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
  old->work.wait(lock, [&old] { return old->at_work == 0; });  // helping callers
}

}  // namespace npp
