#include "bpg/huge_pages.hpp"

#include <sys/mman.h>

namespace bpg {

std::byte* map_pages(std::size_t size) noexcept {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    return nullptr;
  }
#ifdef MADV_HUGEPAGE
  if (size >= kHugePagesFrom) {
    // Refused by a kernel that was built without them.
    static_cast<void>(madvise(pages, size, MADV_HUGEPAGE));
  }
#endif
  return static_cast<std::byte*>(pages);
}

void unmap_pages(std::byte* data, std::size_t size) noexcept { munmap(data, size); }

}  // namespace bpg
