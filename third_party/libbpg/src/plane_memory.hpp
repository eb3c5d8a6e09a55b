#pragma once

#include <cstddef>

namespace bpg {

/// Planes and their rows start on cache lines.
inline constexpr std::size_t kPlaneAlignment = 64;

/// Memory for planes, aligned; null where there is none left. It may hold other pictures. Large
/// blocks come from the system and go back to it: the C library would keep them for later, in each
/// thread by itself.
[[nodiscard]] std::byte* allocate_planes(std::size_t size) noexcept;
/// `size` is what was asked for. A thread keeps the last few blocks, some megabytes at most, for
/// its next picture of the same size: getting memory from the system anew costs a decoder a
/// twentieth of its time.
void free_planes(std::byte* planes, std::size_t size) noexcept;

}  // namespace bpg
