#include "jobs.hpp"

#include <stdexcept>
#include <utility>

#include "interpreter.hpp"

namespace py = pybind11;

namespace npp {

JobHandle::JobHandle(std::shared_ptr<Job> job, py::object kept_alive, int threads, Items items,
                     Caller caller)
    : job_(std::move(job)), kept_alive_(std::move(kept_alive)), items_(items) {
  Pool::instance().submit(job_, threads, items == Items::brief && caller == Caller::waits);
}

JobHandle::~JobHandle() { stop(); }

void JobHandle::stop() noexcept {
  const WithoutGil release;
  Pool::instance().cancel(job_);
  job_->wait();
}

void JobHandle::wait() {
  constexpr std::chrono::milliseconds kSignalInterval{50};
  for (;;) {
    bool done = false;
    {
      const WithoutGil release;
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
      stop();
      throw interrupt;
    }
  }
  if (job_->cancelled()) {
    throw std::runtime_error("the codec's work was cancelled: the interpreter is shutting down");
  }
  if (taken_.exchange(true)) {
    throw std::runtime_error("the results of this call were taken before");
  }
}

}  // namespace npp
