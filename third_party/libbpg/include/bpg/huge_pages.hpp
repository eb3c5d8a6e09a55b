#pragma once

#include <cstddef>

namespace bpg {

/// From this size on; smaller memory is mostly such that was used before. As NumPy has it.
inline constexpr std::size_t kHugePagesFrom = std::size_t{4} << 20;

/// Asks the system for pages of megabytes in large memory that nobody has written to yet. Getting
/// it in pages of kilobytes, each on the first write to it, takes longer than converting the
/// samples that are written. Does nothing where the system has no such pages.
void ask_for_huge_pages(std::byte* data, std::size_t size) noexcept;

}  // namespace bpg
