#include "color_rows.hpp"

#include <algorithm>

#include "simd.hpp"

namespace bpg {
namespace {

BPG_SIMD_CLONES void weigh(const std::uint16_t* BPG_RESTRICT red,
                           const std::uint16_t* BPG_RESTRICT green,
                           const std::uint16_t* BPG_RESTRICT blue, int count,
                           const ToPlanes::Row& factors, std::int32_t offset, int shift, int low,
                           int high, std::int16_t* BPG_RESTRICT out) {
  const std::int32_t r = factors[0];
  const std::int32_t g = factors[1];
  const std::int32_t b = factors[2];
  for (int i = 0; i < count; ++i) {
    const std::int32_t sum = red[i] * r + green[i] * g + blue[i] * b + offset;
    out[i] = static_cast<std::int16_t>(std::clamp(sum >> shift, low, high));
  }
}

/// floor((a + b) / 2), also where a + b does not fit.
BPG_ALWAYS_INLINE std::int32_t halved_sum(std::int32_t a, std::int32_t b) {
  return (a & b) + ((a ^ b) >> 1);
}

}  // namespace

void luma_row(const RgbRows& rgb, int count, const ToPlanes& k, std::uint16_t* luma) {
  // Luma has at most 14 bits, so it may as well be written as signed.
  weigh(rgb.red, rgb.green, rgb.blue, count, k.luma, k.luma_offset, k.shift, 0, k.max,
        reinterpret_cast<std::int16_t*>(luma));
}

void chroma_row(const RgbRows& rgb, int count, const ToPlanes& k, const ToPlanes::Row& factors,
                std::int16_t* chroma) {
  weigh(rgb.red, rgb.green, rgb.blue, count, factors, k.chroma_offset, k.shift, -k.mid, k.mid - 1,
        chroma);
}

BPG_SIMD_CLONES void scale_row(const std::uint16_t* in, int count, const Scale& scale,
                               std::uint16_t* out) {
  const Scale s = scale;
  for (int i = 0; i < count; ++i) {
    out[i] =
        static_cast<std::uint16_t>(std::clamp((in[i] * s.one + s.offset) >> s.shift, 0, s.max));
  }
}

BPG_SIMD_CLONES void color_row(const std::uint16_t* BPG_RESTRICT luma,
                               const std::int16_t* BPG_RESTRICT chroma1,
                               const std::int16_t* BPG_RESTRICT chroma2, int count,
                               const FromPlanes& k, const FromPlanes::Pair& factors,
                               std::uint16_t* BPG_RESTRICT out) {
  const FromPlanes c = k;
  const std::int32_t f1 = factors[0];
  const std::int32_t f2 = factors[1];
  for (int i = 0; i < count; ++i) {
    const std::int32_t y = luma[i] * c.one + c.offset;
    const std::int32_t chroma = chroma1[i] * f1 + chroma2[i] * f2;
    out[i] =
        static_cast<std::uint16_t>(std::clamp(halved_sum(y, chroma) >> (c.shift - 1), 0, c.max));
  }
}

BPG_SIMD_CLONES void center_row(const std::uint16_t* BPG_RESTRICT in, int count, int mid,
                                std::int16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::int16_t>(in[i] - mid);
  }
}

BPG_SIMD_CLONES void uncenter_row(const std::int16_t* BPG_RESTRICT in, int count, int mid,
                                  std::uint16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint16_t>(in[i] + mid);
  }
}

}  // namespace bpg
