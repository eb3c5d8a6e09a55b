#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "pool.hpp"

namespace npp {

/// The Python side of a job: keeps the arrays alive that the job reads and writes, and lets go of
/// them only when no thread works on them any more.
class JobHandle {
 public:
  JobHandle(std::shared_ptr<Job> job, pybind11::object kept_alive, int threads);
  ~JobHandle();
  JobHandle(const JobHandle&) = delete;
  JobHandle& operator=(const JobHandle&) = delete;

 protected:
  /// How long one item takes: brief ones no longer than a user waits for Ctrl-C to act.
  enum class Items { brief, lengthy };

  /// Waits without the GIL, and lends a hand with brief items; a signal handler's exception
  /// (KeyboardInterrupt) ends the wait after the pictures that are being worked on.
  void wait(Items items = Items::lengthy);

 private:
  void stop() noexcept;

  std::shared_ptr<Job> job_;
  pybind11::object kept_alive_;
};

/// To be called before the interpreter goes away. A daemon thread that waits for a job from then on
/// stays where it is: taking the GIL of a dying interpreter would end the process with an abort.
void park_waiting_threads();

void bind_batch_encode(pybind11::module_& module);
void bind_batch_decode(pybind11::module_& module);
void bind_animation(pybind11::module_& module);

}  // namespace npp
