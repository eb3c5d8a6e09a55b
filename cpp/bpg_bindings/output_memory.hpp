#pragma once

#include <cstddef>
#include <memory>

#include "bpg/huge_pages.hpp"
#include "idle_store.hpp"

namespace npp {

/// Bytes from which on memory is kept here. For less the C library mostly has pages at hand that
/// were used before.
constexpr std::size_t kLargeOutput = bpg::kHugePagesFrom;

/// Gives pages back to the system.
struct Unmap {
  std::size_t size = 0;
  void operator()(std::byte* data) const noexcept { bpg::unmap_pages(data, size); }
};
using Pages = std::unique_ptr<std::byte, Unmap>;

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
  /// Gives all that is kept back to the system.
  void clear() { kept_.clear(); }
  [[nodiscard]] std::size_t kept_bytes() { return kept_.total(); }

 private:
  std::byte* reuse(std::size_t size);

  // Enough for what a loop over batches of 64 crops of 224x224 floats frees, 37 MB, twice over: two
  // loops, or a loop and its validation.
  IdleStore<std::size_t, Pages> kept_{std::size_t{96} << 20};
};

}  // namespace npp
