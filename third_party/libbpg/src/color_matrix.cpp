#include "color_matrix.hpp"

#include <cmath>

namespace bpg {
namespace {

/// Weights of red and blue in luma.
struct LumaWeights {
  double red;
  double blue;
};

LumaWeights luma_weights(ColorSpace space) {
  switch (space) {
    case ColorSpace::ycbcr_bt709:
      return {0.2126, 0.0722};
    case ColorSpace::ycbcr_bt2020:
      return {0.2627, 0.0593};
    default:
      return {0.299, 0.114};
  }
}

/// To nearest, ties to even.
std::int32_t round_even(double value) { return static_cast<std::int32_t>(std::lrint(value)); }

double power_of_two(int exponent) { return std::ldexp(1.0, exponent); }

/// Full swing of luma and of chroma in a format's planes.
struct Swing {
  double luma;
  double chroma;
};

Swing swing(const Format& format) {
  if (format.limited_range) {
    return {static_cast<double>(219 << (format.bit_depth - 8)),
            static_cast<double>(224 << (format.bit_depth - 8))};
  }
  const double full = (1 << format.bit_depth) - 1;
  return {full, full};
}

void set_ycgco(ToPlanes& k, double luma) {
  const std::int32_t half = round_even(luma / 2);
  const std::int32_t quarter = round_even(luma / 4);
  k.luma = {quarter, half, quarter};
  k.chroma1 = {-quarter, half, -quarter};
  k.chroma2 = {half, 0, -half};
}

void set_ycbcr(ToPlanes& k, LumaWeights w, double luma, double chroma) {
  const double green = 1 - w.red - w.blue;
  k.luma = {round_even(w.red * luma), round_even(green * luma), round_even(w.blue * luma)};
  k.chroma1 = {round_even(-0.5 * w.red / (1 - w.blue) * chroma),
               round_even(-0.5 * green / (1 - w.blue) * chroma), round_even(0.5 * chroma)};
  k.chroma2 = {round_even(0.5 * chroma), round_even(-0.5 * green / (1 - w.red) * chroma),
               round_even(-0.5 * w.blue / (1 - w.red) * chroma)};
}

void set_ycgco(FromPlanes& k) {
  k.red = {-k.one, k.one};
  k.green = {k.one, 0};
  k.blue = {-k.one, -k.one};
}

void set_ycbcr(FromPlanes& k, LumaWeights w, double chroma) {
  const double green = 1 - w.blue - w.red;
  k.red = {0, round_even(2 * (1 - w.red) * chroma)};
  k.green = {-round_even(2 * w.blue * (1 - w.blue) / green * chroma),
             -round_even(2 * w.red * (1 - w.red) / green * chroma)};
  k.blue = {round_even(2 * (1 - w.blue) * chroma), 0};
}

}  // namespace

ToPlanes to_planes(const Format& format, int in_max) {
  const int bits = format.bit_depth;
  ToPlanes k;
  k.shift = 31 - bits;
  k.mid = 1 << (bits - 1);
  k.max = (1 << bits) - 1;
  const double unit = power_of_two(k.shift);
  const Swing range = swing(format);
  const double luma = range.luma * unit / in_max;
  const double chroma = range.chroma * unit / in_max;
  const std::int32_t half = 1 << (k.shift - 1);
  k.luma_offset = half + (format.limited_range ? 16 << (k.shift + bits - 8) : 0);
  k.chroma_offset = half;
  k.one = round_even(luma);
  k.alpha_one = round_even(k.max * unit / in_max);
  k.alpha_offset = half;
  if (format.color_space == ColorSpace::ycgco) {
    set_ycgco(k, luma);
  } else {
    set_ycbcr(k, luma_weights(format.color_space), luma, chroma);
  }
  return k;
}

FromPlanes from_planes(const Format& format, int out_bits) {
  const int bits = format.bit_depth;
  FromPlanes k;
  k.shift = 30 - out_bits;
  k.mid = 1 << (bits - 1);
  k.max = (1 << out_bits) - 1;
  const double unit = power_of_two(k.shift);
  const Swing range = swing(format);
  const std::int32_t half = 1 << (k.shift - 1);
  k.one = round_even(k.max * unit / range.luma);
  k.offset = half - (format.limited_range ? (16 << (bits - 8)) * k.one : 0);
  k.alpha_one = round_even(k.max * unit / ((1 << bits) - 1));
  k.alpha_offset = half;
  if (format.color_space == ColorSpace::ycgco) {
    set_ycgco(k);
  } else {
    set_ycbcr(k, luma_weights(format.color_space), k.max * unit / range.chroma);
  }
  return k;
}

}  // namespace bpg
