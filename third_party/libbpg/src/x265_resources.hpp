#pragma once

#include <cstdint>

namespace bpg {

/// How often memory that x265 asked for was not to be had, in all of the process. x265 goes on then
/// and leaves bytes out of the picture. 0 for ever where x265 is a shared library.
std::uint64_t failed_allocations();

}  // namespace bpg
