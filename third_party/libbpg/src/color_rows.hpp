#pragma once

#include <cstdint>

#include "color_matrix.hpp"

namespace bpg {

// One row at a time: RGB levels to samples of planes and back. Chroma is kept minus its mid-level.

/// Rows of R, G and B; all the same row for gray.
struct RgbRows {
  const std::uint16_t* red;
  const std::uint16_t* green;
  const std::uint16_t* blue;
};

/// Luma alone.
void luma_row(const RgbRows& rgb, int count, const ToPlanes& k, std::uint16_t* luma);

/// Luma and both chroma rows.
struct YccRows {
  std::uint16_t* luma;
  std::int16_t* chroma1;
  std::int16_t* chroma2;
};
void ycc_rows(const RgbRows& rgb, int count, const ToPlanes& k, const YccRows& out);

/// R, G and B from luma and chroma.
struct ConstYccRows {
  const std::uint16_t* luma;
  const std::int16_t* chroma1;
  const std::int16_t* chroma2;
};
struct MutableRgbRows {
  std::uint16_t* red;
  std::uint16_t* green;
  std::uint16_t* blue;
};
void rgb_rows(const ConstYccRows& ycc, int count, const FromPlanes& k, const MutableRgbRows& out);

/// out = (in * one + offset) >> shift, clamped to 0..max.
struct Scale {
  std::int32_t one;
  std::int32_t offset;
  int shift;
  int max;
};
void scale_row(const std::uint16_t* in, int count, const Scale& scale, std::uint16_t* out);

/// out = in - mid.
void center_row(const std::uint16_t* in, int count, int mid, std::int16_t* out);
/// out = in + mid.
void uncenter_row(const std::int16_t* in, int count, int mid, std::uint16_t* out);

}  // namespace bpg
