#pragma once

#include <cstdint>

#include "color_matrix.hpp"

namespace bpg {

// One row at a time: RGB levels to planes and back. Chroma is kept minus its mid-level.

/// Three pointers to rows of R, G and B; all the same for gray.
struct RgbRows {
  const std::uint16_t* red;
  const std::uint16_t* green;
  const std::uint16_t* blue;
};

void luma_row(const RgbRows& rgb, int count, const ToPlanes& k, std::uint16_t* luma);
void chroma_row(const RgbRows& rgb, int count, const ToPlanes& k, const ToPlanes::Row& factors,
                std::int16_t* chroma);

/// out = (in * one + offset) >> shift, clamped to 0..max. `in` may be `out`.
struct Scale {
  std::int32_t one;
  std::int32_t offset;
  int shift;
  int max;
};
void scale_row(const std::uint16_t* in, int count, const Scale& scale, std::uint16_t* out);

/// One colour from luma and chroma.
void color_row(const std::uint16_t* luma, const std::int16_t* chroma1, const std::int16_t* chroma2,
               int count, const FromPlanes& k, const FromPlanes::Pair& factors, std::uint16_t* out);

/// out = in - mid and out = in + mid.
void center_row(const std::uint16_t* in, int count, int mid, std::int16_t* out);
void uncenter_row(const std::int16_t* in, int count, int mid, std::uint16_t* out);

}  // namespace bpg
