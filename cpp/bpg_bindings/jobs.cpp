#include "jobs.hpp"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "interpreter.hpp"
#include "per_process.hpp"

namespace py = pybind11;

namespace npp {
namespace {

constexpr std::chrono::milliseconds kSignalInterval{50};

// Jobs that nobody waits for while threads still work on their last items, and what these read and
// write. Python's objects can only be released with the GIL: a later call does that.
class AbandonedJobs {
 public:
  void add(std::shared_ptr<Job> job, py::object kept_alive) {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back({std::move(job), std::move(kept_alive)});
    any_ = true;
  }

  void release_finished() {
    if (!any_) {
      return;
    }
    std::vector<Entry> finished;  // goes away after the lock: what is released may call npp
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto first = std::stable_partition(jobs_.begin(), jobs_.end(), [](const Entry& entry) {
      return !entry.job->wait_for(std::chrono::milliseconds{0});
    });
    std::move(first, jobs_.end(), std::back_inserter(finished));
    jobs_.erase(first, jobs_.end());
    any_ = !jobs_.empty();
  }

 private:
  struct Entry {
    std::shared_ptr<Job> job;
    py::object kept_alive;
  };

  std::mutex mutex_;
  std::vector<Entry> jobs_;
  std::atomic<bool> any_{false};
};

}  // namespace

void release_finished_jobs() { PerProcess<AbandonedJobs>::get().release_finished(); }

JobHandle::JobHandle(std::shared_ptr<Job> job, py::object kept_alive, int threads, Items items,
                     Caller caller)
    : job_(std::move(job)), kept_alive_(std::move(kept_alive)), items_(items), process_(getpid()) {
  release_finished_jobs();
  Pool::instance().submit(job_, threads, items == Items::brief && caller == Caller::waits);
}

JobHandle::~JobHandle() { abandon(); }

void JobHandle::abandon() noexcept {
  if (process_ != getpid()) {
    // Threads of the parent may have held its lock or waited for it at the fork, and none of them
    // is here: destroying it may hang, so that it is leaked.
    static_cast<void>(new std::shared_ptr<Job>(job_));
    return;
  }
  bool done = false;
  {
    const WithoutGil no_gil;
    Pool::instance().cancel(job_);
    done = job_->wait_for(kSignalInterval);
  }
  if (done || !kept_alive_) {
    return;
  }
  try {
    PerProcess<AbandonedJobs>::get().add(job_, kept_alive_);
    kept_alive_ = py::object();  // not before: without memory for the entry the arrays stay here
    Pool::instance().abandon(job_);
  } catch (const std::bad_alloc&) {
    const WithoutGil no_gil;
    job_->wait();
  }
}

void JobHandle::wait() {
  if (process_ != getpid()) {
    throw std::runtime_error("this call was begun before the process forked, by its parent");
  }
  for (;;) {
    bool done = false;
    {
      const WithoutGil no_gil;
      Pool& pool = Pool::instance();
      if (items_ == Items::brief || pool.needs_help()) {
        pool.help(job_, kSignalInterval);
      }
      done = job_->wait_for(kSignalInterval);
    }
    if (done) {
      break;
    }
    if (PyErr_CheckSignals() != 0) {
      const py::error_already_set interrupt;
      abandon();
      throw interrupt;
    }
  }
  if (job_->cancelled()) {
    throw std::runtime_error(
        "the codec's work was cancelled: by Ctrl-C, or because the interpreter is shutting down");
  }
  if (taken_.exchange(true)) {
    throw std::runtime_error("the results of this call were taken before");
  }
}

}  // namespace npp
