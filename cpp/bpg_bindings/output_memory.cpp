#include "output_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <optional>
#include <utility>

#include "per_process.hpp"

namespace npp {
namespace {

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
  std::optional<Pages> kept = kept_.take(size);
  if (!kept) {
    return nullptr;
  }
  take_up(kept->get(), size);
  return kept->release();
}

void OutputMemory::put(std::byte* data, std::size_t size) noexcept {
  Pages pages(data, Unmap{size});
  set_aside(data, size);
  try {
    kept_.put(size, std::move(pages), size);
  } catch (const std::bad_alloc&) {
    // There is no memory for the list's entry: the pages went back to the system instead.
  }
}

}  // namespace npp
