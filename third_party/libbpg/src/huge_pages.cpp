#include "bpg/huge_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace bpg {

#ifdef MADV_HUGEPAGE
void ask_for_huge_pages(std::byte* data, std::size_t size) noexcept {
  static const long page_size = sysconf(_SC_PAGESIZE);
  if (size < kHugePagesFrom || page_size <= 0) {
    return;
  }
  const auto page = static_cast<std::uintptr_t>(page_size);
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + size) / page * page;
  // Refused by a kernel that was built without them.
  static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
}
#else
void ask_for_huge_pages(std::byte* /*data*/, std::size_t /*size*/) noexcept {}
#endif

}  // namespace bpg
