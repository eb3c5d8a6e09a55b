#include "plane_memory.hpp"

#include <sys/mman.h>

#include <new>

namespace bpg {
namespace {

// Mapping pages takes a hundredth of the time that coding so many samples takes.
constexpr std::size_t kLarge = std::size_t{1} << 20;

}  // namespace

std::byte* allocate_planes(std::size_t size) noexcept {
  if (size < kLarge) {
    return static_cast<std::byte*>(
        ::operator new (size, std::align_val_t{kPlaneAlignment}, std::nothrow));
  }
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<std::byte*>(pages);
}

void free_planes(std::byte* planes, std::size_t size) noexcept {
  if (size < kLarge) {
    ::operator delete (planes, std::align_val_t{kPlaneAlignment});
  } else {
    munmap(planes, size);
  }
}

}  // namespace bpg
