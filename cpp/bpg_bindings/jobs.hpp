#pragma once

#include <pybind11/pybind11.h>
#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "pool.hpp"

namespace npp {

/// Whether the codec is through with a picture in some hundredths of a second, whatever the effort.
[[nodiscard]] constexpr bool is_small_picture(int width, int height) {
  constexpr std::int64_t kPixels = 256 * 256;
  return std::int64_t{width} * height <= kPixels;
}

/// The Python side of a job: keeps the arrays alive that the job reads and writes. Where it goes
/// away before the job is done, nothing new begins, and what is being worked on has the arrays
/// until no thread does. A forked child, which has none of the threads, can do nothing with it but
/// let it go away.
class JobHandle {
 public:
  /// How long one item takes: brief ones no longer than a user waits for Ctrl-C to act.
  enum class Items { brief, lengthy };
  /// Whether wait() follows at once, or the caller does other things meanwhile.
  enum class Caller { waits, goes_on };

  JobHandle(std::shared_ptr<Job> job, pybind11::object kept_alive, int threads, Items items,
            Caller caller);
  ~JobHandle();
  JobHandle(const JobHandle&) = delete;
  JobHandle& operator=(const JobHandle&) = delete;

 protected:
  /// Brief where is_small holds for every item.
  template <class Item>
  [[nodiscard]] static Items kind_of(const std::vector<Item>& items) {
    const auto small = [](const Item& item) { return is_small(item); };
    return std::all_of(items.begin(), items.end(), small) ? Items::brief : Items::lengthy;
  }

  /// Waits without the GIL, and lends a hand with brief items; a signal handler's exception
  /// (KeyboardInterrupt) ends the wait, and the job. Once it has returned the results may be taken,
  /// by this caller alone: it raises RuntimeError for others.
  void wait();

 private:
  void abandon() noexcept;

  std::shared_ptr<Job> job_;
  pybind11::object kept_alive_;
  Items items_;
  pid_t process_;  // that has the threads
  std::atomic<bool> taken_{false};
};

/// Releases what abandoned jobs keep alive for the threads that worked on them, where they are
/// done.
void release_finished_jobs();

}  // namespace npp
