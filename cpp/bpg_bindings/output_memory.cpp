#include "output_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <new>
#include <utility>

#include "bpg/huge_pages.hpp"
#include "per_process.hpp"

namespace npp {
namespace {

// Enough for what a loop over batches of 64 crops of 224x224 floats frees, 37 MB, twice over: two
// loops, or a loop and its validation.
constexpr std::size_t kMostKept = std::size_t{96} << 20;

void advise(const std::byte* data, std::size_t size, int advice) noexcept {
  static_cast<void>(madvise(const_cast<std::byte*>(data), size, advice));
}

// What is kept stays with the process only as long as the system has no better use for it, and a
// forked child, which could not give it back, does not get it.
void set_aside(const std::byte* data, std::size_t size) noexcept {
#ifdef MADV_FREE
  advise(data, size, MADV_FREE);
#endif
#ifdef MADV_DONTFORK
  advise(data, size, MADV_DONTFORK);
#endif
}

void take_up(const std::byte* data, std::size_t size) noexcept {
#ifdef MADV_DOFORK
  advise(data, size, MADV_DOFORK);
#endif
}

}  // namespace

void GiveBack::operator()(std::byte* data) const noexcept {
  if (size < kLargeOutput) {
    std::free(data);
  } else {
    OutputMemory::instance().put(data, size);
  }
}

OutputMemory& OutputMemory::instance() { return PerProcess<OutputMemory>::get(); }

OutputBlock OutputMemory::take(std::size_t size) {
  std::byte* data = nullptr;
  if (size < kLargeOutput) {
    data = static_cast<std::byte*>(std::malloc(std::max<std::size_t>(size, 1)));
  } else if (data = reuse(size); data == nullptr) {
    data = bpg::map_pages(size);
  }
  if (data == nullptr) {
    throw std::bad_alloc();
  }
  return {data, GiveBack{size}};
}

std::byte* OutputMemory::reuse(std::size_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [size](const Kept& k) { return k.size == size; });
  if (found == kept_.end()) {
    return nullptr;
  }
  std::byte* data = found->data;
  bytes_ -= size;
  kept_.erase(found);
  take_up(data, size);
  return data;
}

void OutputMemory::put(std::byte* data, std::size_t size) noexcept {
  std::list<Kept> evicted;
  try {
    evicted.push_back({data, size});
  } catch (const std::bad_alloc&) {
    bpg::unmap_pages(data, size);
    return;
  }
  if (size <= kMostKept) {
    set_aside(data, size);
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.splice(kept_.begin(), evicted);
    for (bytes_ += size; bytes_ > kMostKept;) {
      bytes_ -= kept_.back().size;
      evicted.splice(evicted.end(), kept_, std::prev(kept_.end()));
    }
  }
  for (const Kept& old : evicted) {
    bpg::unmap_pages(old.data, old.size);
  }
}

void OutputMemory::clear() {
  std::list<Kept> all;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    all.swap(kept_);
    bytes_ = 0;
  }
  for (const Kept& old : all) {
    bpg::unmap_pages(old.data, old.size);
  }
}

std::size_t OutputMemory::kept_bytes() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return bytes_;
}

}  // namespace npp
