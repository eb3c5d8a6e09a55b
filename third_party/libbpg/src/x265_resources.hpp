#pragma once

#include <cstdint>

namespace bpg {

/// How often aligned memory was not to be had for anything that is linked in here, x265 above all,
/// which goes on then and leaves bytes out of the picture. 0 for ever where x265 is a shared
/// library or the linker cannot tell.
std::uint64_t failed_allocations();

}  // namespace bpg
