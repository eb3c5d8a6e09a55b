#include "interpreter.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "per_process.hpp"

namespace npp {
namespace {

using Clock = std::chrono::steady_clock;

// Most programs have nothing left to do after our handler, and are gone before this is over. No
// thread comes back into Python meanwhile; later ones do, as a handler may be waiting for them.
constexpr std::chrono::seconds kGrace{2};
constexpr std::chrono::milliseconds kLook{20};

// A forked child has none of the other threads and may live on.
class Ending {
 public:
  void begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    thread_ = std::this_thread::get_id();
    grace_ends_ = Clock::now() + kGrace;
    begun_ = true;
  }

  [[nodiscard]] bool keeps_this_thread() {
    if (!begun_) {
      return false;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::this_thread::get_id() != thread_ && (is_finalizing() || Clock::now() < grace_ends_);
  }

 private:
  static bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
  }

  std::atomic<bool> begun_{false};
  std::mutex mutex_;
  std::thread::id thread_;
  Clock::time_point grace_ends_;
};

}  // namespace

WithoutGil::~WithoutGil() {
  while (PerProcess<Ending>::get().keeps_this_thread()) {
    std::this_thread::sleep_for(kLook);
  }
  PyEval_RestoreThread(state_);
}

void interpreter_begins_to_end() { PerProcess<Ending>::get().begin(); }

}  // namespace npp
