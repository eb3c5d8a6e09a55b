#pragma once

#include <cstdint>

namespace bpg {

/// Multiplies levels 0..max (255 or 65535) by alpha, rounded to nearest: c * a / max.
void premultiply_row(std::uint16_t* color, const std::uint16_t* alpha, int count, int max);

/// Undoes it: c * max / a as the reference decoder rounds it, `max` where alpha is 0 or below c.
void divide_row(std::uint16_t* color, const std::uint16_t* alpha, int count, int max);

/// Multiplies levels by a W plane of `bit_depth` bits: (c * w + 2^(b-1)) >> b.
void apply_w_row(std::uint16_t* color, const std::uint16_t* w, int count, int bit_depth);

}  // namespace bpg
