#include "color_rows.hpp"

#include <algorithm>

#include "simd.hpp"

namespace bpg {
namespace {

// ---- Any format: 32-bit products ----------------------------------------------------------------

BPG_ALWAYS_INLINE std::int32_t weigh(std::int32_t r, std::int32_t g, std::int32_t b,
                                     const ToPlanes::Row& k) {
  return r * k[0] + g * k[1] + b * k[2];
}

BPG_SIMD_CLONES void luma_kernel(const std::uint16_t* BPG_RESTRICT red,
                                 const std::uint16_t* BPG_RESTRICT green,
                                 const std::uint16_t* BPG_RESTRICT blue, int count,
                                 const ToPlanes& to_planes, std::uint16_t* BPG_RESTRICT luma) {
  const ToPlanes k = to_planes;
  for (int i = 0; i < count; ++i) {
    const std::int32_t sum = weigh(red[i], green[i], blue[i], k.luma) + k.luma_offset;
    luma[i] = static_cast<std::uint16_t>(std::clamp(sum >> k.shift, 0, k.max));
  }
}

BPG_SIMD_CLONES void ycc_kernel(const std::uint16_t* BPG_RESTRICT red,
                                const std::uint16_t* BPG_RESTRICT green,
                                const std::uint16_t* BPG_RESTRICT blue, int count,
                                const ToPlanes& to_planes, std::uint16_t* BPG_RESTRICT luma,
                                std::int16_t* BPG_RESTRICT chroma1,
                                std::int16_t* BPG_RESTRICT chroma2) {
  const ToPlanes k = to_planes;
  const int low = -k.mid;
  const int high = k.mid - 1;
  for (int i = 0; i < count; ++i) {
    const std::int32_t r = red[i];
    const std::int32_t g = green[i];
    const std::int32_t b = blue[i];
    luma[i] = static_cast<std::uint16_t>(
        std::clamp((weigh(r, g, b, k.luma) + k.luma_offset) >> k.shift, 0, k.max));
    chroma1[i] = static_cast<std::int16_t>(
        std::clamp((weigh(r, g, b, k.chroma1) + k.chroma_offset) >> k.shift, low, high));
    chroma2[i] = static_cast<std::int16_t>(
        std::clamp((weigh(r, g, b, k.chroma2) + k.chroma_offset) >> k.shift, low, high));
  }
}

/// floor((a + b) / 2), also where a + b does not fit.
BPG_ALWAYS_INLINE std::int32_t halved_sum(std::int32_t a, std::int32_t b) {
  return (a & b) + ((a ^ b) >> 1);
}

BPG_SIMD_CLONES void rgb_kernel(const std::uint16_t* BPG_RESTRICT luma,
                                const std::int16_t* BPG_RESTRICT chroma1,
                                const std::int16_t* BPG_RESTRICT chroma2, int count,
                                const FromPlanes& from_planes, std::uint16_t* BPG_RESTRICT red,
                                std::uint16_t* BPG_RESTRICT green,
                                std::uint16_t* BPG_RESTRICT blue) {
  const FromPlanes k = from_planes;
  const int shift = k.shift - 1;
  for (int i = 0; i < count; ++i) {
    const std::int32_t y = luma[i] * k.one + k.offset;
    const std::int32_t c1 = chroma1[i];
    const std::int32_t c2 = chroma2[i];
    const std::int32_t r = halved_sum(y, c1 * k.red[0] + c2 * k.red[1]) >> shift;
    const std::int32_t g = halved_sum(y, c1 * k.green[0] + c2 * k.green[1]) >> shift;
    const std::int32_t b = halved_sum(y, c1 * k.blue[0] + c2 * k.blue[1]) >> shift;
    red[i] = static_cast<std::uint16_t>(std::clamp(r, 0, k.max));
    green[i] = static_cast<std::uint16_t>(std::clamp(g, 0, k.max));
    blue[i] = static_cast<std::uint16_t>(std::clamp(b, 0, k.max));
  }
}

// ---- 8-bit full-range YCbCr from and to 8-bit levels: 16-bit products ---------------------------
//
// Twice the lanes, and 16-bit multiplications are the cheaper ones. A factor k = 2^16 high + low,
// with a signed low, turns the product k * x into 2^16 (high * x + upper half of low * x) plus the
// lower half of low * x. Only where two products meet may their lower halves carry.

using i16 = std::int16_t;
using u16 = std::uint16_t;

/// Factors below 2^23.
struct SplitFactor {
  explicit SplitFactor(std::int32_t k)
      : low(static_cast<i16>(static_cast<u16>(k & 0xffff))),
        high(static_cast<i16>((k - low) / 65536)) {}

  /// (k * x) / 2^16, rounded down.
  [[nodiscard]] BPG_ALWAYS_INLINE i16 upper(i16 x) const {
    const i16 product = static_cast<i16>(high * x);
    const i16 upper_half = static_cast<i16>((static_cast<std::int32_t>(low) * x) >> 16);
    return static_cast<i16>(product + upper_half);
  }
  /// (k * x) mod 2^16.
  [[nodiscard]] BPG_ALWAYS_INLINE u16 lower(i16 x) const { return static_cast<u16>(low * x); }

  i16 low;
  i16 high;
};

/// floor((a * x + b * y) / 2^16).
BPG_ALWAYS_INLINE i16 upper_sum(SplitFactor a, i16 x, SplitFactor b, i16 y) {
  const u16 first = a.lower(x);
  const u16 both = static_cast<u16>(first + b.lower(y));
  const int carry = both < first ? 1 : 0;
  return static_cast<i16>(a.upper(x) + b.upper(y) + carry);
}

/// With d = R - G and e = B - G,
///   luma    = G + (red * d + blue * e - deficit * G + 2^22) >> 23,
///   chroma1 = (red1 * d + 2^22 e + 2^22) >> 23,
///   chroma2 = (2^22 d + blue2 * e + 2^22) >> 23.
struct ByteToYcc {
  explicit ByteToYcc(const ToPlanes& k)
      : red(k.luma[0]),
        blue(k.luma[2]),
        red1(k.chroma1[0]),
        blue2(k.chroma2[2]),
        deficit_mask(k.luma[0] + k.luma[1] + k.luma[2] == 1 << 23 ? 0 : 0xffff) {}

  /// The rounded factors of YCbCr sum to just what makes that form possible.
  static bool suits(const ToPlanes& k) {
    const auto sum = [](const ToPlanes::Row& row) { return row[0] + row[1] + row[2]; };
    const int deficit = (1 << 23) - sum(k.luma);
    return k.shift == 23 && k.luma_offset == 1 << 22 && (deficit == 0 || deficit == 1) &&
           sum(k.chroma1) == 0 && sum(k.chroma2) == 0 && k.chroma1[2] == 1 << 22 &&
           k.chroma2[0] == 1 << 22;
  }

  SplitFactor red;
  SplitFactor blue;
  SplitFactor red1;
  SplitFactor blue2;
  u16 deficit_mask;  ///< all ones where the luma factors sum to 2^23 - 1, which costs G / 2^23
};

BPG_SIMD_CLONES void ycc_kernel_8(const u16* BPG_RESTRICT red, const u16* BPG_RESTRICT green,
                                  const u16* BPG_RESTRICT blue, int count, const ByteToYcc& factors,
                                  u16* BPG_RESTRICT luma, i16* BPG_RESTRICT chroma1,
                                  i16* BPG_RESTRICT chroma2) {
  const ByteToYcc k = factors;
  for (int i = 0; i < count; ++i) {
    const i16 d = static_cast<i16>(red[i] - green[i]);
    const i16 e = static_cast<i16>(blue[i] - green[i]);

    const u16 first = k.red.lower(d);
    const u16 both = static_cast<u16>(first + k.blue.lower(e));
    const int carry = both < first ? 1 : 0;
    const int borrow = both < (green[i] & k.deficit_mask) ? 1 : 0;
    const i16 y = static_cast<i16>(k.red.upper(d) + k.blue.upper(e) + 64 + carry - borrow);
    luma[i] = static_cast<u16>(green[i] + static_cast<i16>(y >> 7));

    // The most is 127.5, rounded up to what is out of range by one.
    const i16 c1 = static_cast<i16>(k.red1.upper(d) + static_cast<i16>(e * 64) + 64);
    const i16 c2 = static_cast<i16>(k.blue2.upper(e) + static_cast<i16>(d * 64) + 64);
    chroma1[i] = std::min<i16>(static_cast<i16>(c1 >> 7), 127);
    chroma2[i] = std::min<i16>(static_cast<i16>(c2 >> 7), 127);
  }
}

/// R = Y + (red * Cr + 2^21) >> 22 and so on.
struct YccToByte {
  explicit YccToByte(const FromPlanes& k)
      : red2(k.red[1]), green1(k.green[0]), green2(k.green[1]), blue1(k.blue[0]) {}

  static bool suits(const FromPlanes& k) {
    return k.shift == 22 && k.one == 1 << 22 && k.offset == 1 << 21 && k.red[0] == 0 &&
           k.blue[1] == 0;
  }

  SplitFactor red2;
  SplitFactor green1;
  SplitFactor green2;
  SplitFactor blue1;
};

BPG_ALWAYS_INLINE u16 add_rounded(i16 luma, i16 upper) {
  const i16 rounded = static_cast<i16>(static_cast<i16>(upper + 32) >> 6);
  return static_cast<u16>(std::clamp<i16>(static_cast<i16>(luma + rounded), 0, 255));
}

BPG_SIMD_CLONES void rgb_kernel_8(const u16* BPG_RESTRICT luma, const i16* BPG_RESTRICT chroma1,
                                  const i16* BPG_RESTRICT chroma2, int count,
                                  const YccToByte& factors, u16* BPG_RESTRICT red,
                                  u16* BPG_RESTRICT green, u16* BPG_RESTRICT blue) {
  const YccToByte k = factors;
  for (int i = 0; i < count; ++i) {
    const i16 y = static_cast<i16>(luma[i]);
    const i16 c1 = chroma1[i];
    const i16 c2 = chroma2[i];
    red[i] = add_rounded(y, k.red2.upper(c2));
    green[i] = add_rounded(y, upper_sum(k.green1, c1, k.green2, c2));
    blue[i] = add_rounded(y, k.blue1.upper(c1));
  }
}

BPG_SIMD_CLONES void scale_kernel(const std::uint16_t* BPG_RESTRICT in, int count,
                                  const Scale& scale, std::uint16_t* BPG_RESTRICT out) {
  const Scale s = scale;
  for (int i = 0; i < count; ++i) {
    out[i] =
        static_cast<std::uint16_t>(std::clamp((in[i] * s.one + s.offset) >> s.shift, 0, s.max));
  }
}

BPG_SIMD_CLONES void center_kernel(const std::uint16_t* BPG_RESTRICT in, int count, int mid,
                                   std::int16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::int16_t>(in[i] - mid);
  }
}

BPG_SIMD_CLONES void uncenter_kernel(const std::int16_t* BPG_RESTRICT in, int count, int mid,
                                     std::uint16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint16_t>(in[i] + mid);
  }
}

}  // namespace

void luma_row(const RgbRows& rgb, int count, const ToPlanes& k, std::uint16_t* luma) {
  luma_kernel(rgb.red, rgb.green, rgb.blue, count, k, luma);
}

void ycc_rows(const RgbRows& rgb, int count, const ToPlanes& k, const YccRows& out) {
  if (ByteToYcc::suits(k)) {
    ycc_kernel_8(rgb.red, rgb.green, rgb.blue, count, ByteToYcc(k), out.luma, out.chroma1,
                 out.chroma2);
  } else {
    ycc_kernel(rgb.red, rgb.green, rgb.blue, count, k, out.luma, out.chroma1, out.chroma2);
  }
}

void rgb_rows(const ConstYccRows& ycc, int count, const FromPlanes& k, const MutableRgbRows& out) {
  if (YccToByte::suits(k)) {
    rgb_kernel_8(ycc.luma, ycc.chroma1, ycc.chroma2, count, YccToByte(k), out.red, out.green,
                 out.blue);
  } else {
    rgb_kernel(ycc.luma, ycc.chroma1, ycc.chroma2, count, k, out.red, out.green, out.blue);
  }
}

void scale_row(const std::uint16_t* in, int count, const Scale& scale, std::uint16_t* out) {
  const bool unchanged = scale.one == 1 << scale.shift && scale.offset == 1 << (scale.shift - 1);
  if (unchanged) {
    std::copy_n(in, count, out);
  } else {
    scale_kernel(in, count, scale, out);
  }
}

void center_row(const std::uint16_t* in, int count, int mid, std::int16_t* out) {
  center_kernel(in, count, mid, out);
}

void uncenter_row(const std::int16_t* in, int count, int mid, std::uint16_t* out) {
  uncenter_kernel(in, count, mid, out);
}

}  // namespace bpg
