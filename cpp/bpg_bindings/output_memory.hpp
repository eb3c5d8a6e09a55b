#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "bpg/huge_pages.hpp"

namespace npp {

/// Smaller memory the C library mostly has at hand, used before.
constexpr std::size_t kLargeOutput = bpg::kHugePagesFrom;

/// Gives memory of OutputMemory::take back.
struct GiveBack {
  std::size_t size = 0;
  void operator()(std::byte* data) const noexcept;
};
using OutputBlock = std::unique_ptr<std::byte, GiveBack>;

/// Memory that decoded pictures are returned in. Large memory that was returned is kept for the
/// next batch: a loop frees one batch for each that it makes, and getting fresh pages from the
/// system takes about as long as converting the samples. The system may take back what is kept.
class OutputMemory {
 public:
  /// The one of this process.
  static OutputMemory& instance();

  /// Uninitialised; throws std::bad_alloc.
  OutputBlock take(std::size_t size);
  void put(std::byte* data, std::size_t size) noexcept;
  /// Gives all to the system that is kept.
  void clear();
  [[nodiscard]] std::size_t kept_bytes();

 private:
  struct Kept {
    std::byte* data;
    std::size_t size;
  };

  std::byte* reuse(std::size_t size);

  std::mutex mutex_;
  std::list<Kept> kept_;  // the one that was returned last comes first
  std::size_t bytes_ = 0;
};

}  // namespace npp
