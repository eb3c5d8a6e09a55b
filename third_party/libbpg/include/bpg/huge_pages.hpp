#pragma once

#include <cstddef>

namespace bpg {

/// From this size on; smaller memory is mostly such that was used before. As NumPy has it.
inline constexpr std::size_t kHugePagesFrom = std::size_t{4} << 20;

/// Fresh memory straight from the system, which has it in pages of megabytes where it can if it is
/// large: getting it in pages of kilobytes, each on the first write to it, takes longer than
/// converting the samples that are written. nullptr where there is none.
std::byte* map_pages(std::size_t size) noexcept;
/// Gives such memory back.
void unmap_pages(std::byte* data, std::size_t size) noexcept;

}  // namespace bpg
