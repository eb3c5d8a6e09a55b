#include "jobs.hpp"

#include <atomic>
#include <thread>
#include <utility>

namespace py = pybind11;

namespace npp {

namespace {

std::atomic<bool> g_interpreter_ends{false};

// Without the GIL; returns only while the interpreter lives.
void stay_if_interpreter_ends() {
  while (g_interpreter_ends) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

void park_waiting_threads() { g_interpreter_ends = true; }

JobHandle::JobHandle(std::shared_ptr<Job> job, py::object kept_alive, int threads)
    : job_(std::move(job)), kept_alive_(std::move(kept_alive)) {
  Pool::instance().submit(job_, threads);
}

JobHandle::~JobHandle() { stop(); }

void JobHandle::stop() noexcept {
  job_->cancel();
  const py::gil_scoped_release release;
  job_->wait();
}

void JobHandle::wait(Items items) {
  constexpr std::chrono::milliseconds kSignalInterval{50};
  for (;;) {
    bool done = false;
    {
      const py::gil_scoped_release release;
      if (items == Items::brief) {
        Pool::instance().help(job_, kSignalInterval);
      }
      done = job_->wait_for(kSignalInterval);
      stay_if_interpreter_ends();
    }
    if (done) {
      return;
    }
    if (PyErr_CheckSignals() != 0) {
      const py::error_already_set interrupt;
      stop();
      throw interrupt;
    }
  }
}

}  // namespace npp
