#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bpg/container.hpp"

namespace bpg {

/// Where slice_loop_filter_across_slices_enabled_flag stands in an IDR slice: counted in bits from
/// the slice NAL unit's first byte, or nothing when the slice does not carry the flag. Both NAL
/// units are without start codes. Throws EncodeError for syntax that npp's encoder never writes.
[[nodiscard]] std::optional<std::size_t> loop_filter_flag_position(ByteSpan pps_nal,
                                                                   ByteSpan idr_slice_nal,
                                                                   int chroma_format_idc, bool sao);

}  // namespace bpg
