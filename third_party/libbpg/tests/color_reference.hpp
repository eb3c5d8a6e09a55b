#pragma once

// The arithmetic of import_image and export_image once more, straight from its formulas: whole
// planes of int64, one sample at a time, nothing shared with the library. For tests only.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/picture.hpp"

namespace bpg_test {

using bpg::Alpha;
using bpg::Chroma;
using bpg::ColorSpace;
using bpg::Format;

/// A plane of integers whose edges repeat for ever.
struct Grid {
  int width = 0;
  int height = 0;
  std::vector<std::int64_t> samples;

  Grid() = default;
  Grid(int w, int h)
      : width(w), height(h), samples(static_cast<std::size_t>(w) * static_cast<std::size_t>(h)) {}

  std::int64_t& at(int x, int y) {
    return samples[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                   static_cast<std::size_t>(x)];
  }
  std::int64_t near(int x, int y) const {
    const int cx = x < 0 ? 0 : (x >= width ? width - 1 : x);
    const int cy = y < 0 ? 0 : (y >= height ? height - 1 : y);
    return samples[static_cast<std::size_t>(cy) * static_cast<std::size_t>(width) +
                   static_cast<std::size_t>(cx)];
  }
};

/// Four planes, or four channels; those that are absent are empty.
using Grids = std::array<Grid, 4>;

inline std::int64_t clamp(std::int64_t v, std::int64_t low, std::int64_t high) {
  return v < low ? low : (v > high ? high : v);
}

inline std::int64_t half_of(int shift) { return shift > 0 ? std::int64_t{1} << (shift - 1) : 0; }

/// A filter at sample `at`: taps[i] weighs sample at + first + i.
struct Filter {
  int first;
  std::vector<int> taps;

  std::int64_t across(const Grid& g, int at, int y) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < taps.size(); ++i) {
      sum += taps[i] * g.near(at + first + static_cast<int>(i), y);
    }
    return sum;
  }
  std::int64_t down(const Grid& g, int x, int at) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < taps.size(); ++i) {
      sum += taps[i] * g.near(x, at + first + static_cast<int>(i));
    }
    return sum;
  }
};

inline Filter halving(bool mpeg2) {
  if (mpeg2) {
    return {-7, {-1, 0, 4, 0, -11, 0, 40, 64, 40, 0, -11, 0, 4, 0, -1}};
  }
  return {-4, {2, -4, -8, 17, 57, 57, 17, -8, -4, 2}};
}

/// For output 2i (even) or 2i+1 (odd), about stored sample i.
inline Filter doubling(bool odd) {
  if (odd) {
    return {-3, {-1, 4, -10, 57, 18, -6, 2}};
  }
  return {-3, {2, -6, 18, 57, -10, 4, -1}};
}

inline Grid downsample(const Grid& full, const Format& f) {
  const int b = f.bit_depth;
  const std::int64_t max = (std::int64_t{1} << b) - 1;
  if (bpg::chroma_shift_x(f.chroma) == 0) {
    return full;
  }
  const Filter horizontal = halving(bpg::is_mpeg2_sited(f.chroma));
  Grid half((full.width + 1) / 2, full.height);
  const bool both = bpg::is_420(f.chroma);
  for (int y = 0; y < half.height; ++y) {
    for (int x = 0; x < half.width; ++x) {
      const std::int64_t sum = horizontal.across(full, 2 * x, y);
      half.at(x, y) = both ? (sum + half_of(b - 7)) >> (b - 7) : clamp((sum + 64) >> 7, 0, max);
    }
  }
  if (!both) {
    return half;
  }
  const Filter vertical = halving(false);
  Grid out(half.width, (full.height + 1) / 2);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      out.at(x, y) = clamp((vertical.down(half, x, 2 * y) + half_of(21 - b)) >> (21 - b), 0, max);
    }
  }
  return out;
}

inline Grid upsample(const Grid& stored, const Format& f) {
  const int b = f.bit_depth;
  const std::int64_t max = (std::int64_t{1} << b) - 1;
  if (bpg::chroma_shift_x(f.chroma) == 0) {
    return stored;
  }
  Grid tall = stored;
  int shift = 6;
  if (bpg::is_420(f.chroma)) {
    tall = Grid(stored.width, f.height);
    shift = 20 - b;
    for (int y = 0; y < f.height; ++y) {
      for (int x = 0; x < stored.width; ++x) {
        tall.at(x, y) = (doubling((y & 1) != 0).down(stored, x, y / 2) + half_of(b - 8)) >> (b - 8);
      }
    }
  }
  const Filter between{-3, {-1, 4, -11, 40, 40, -11, 4, -1}};
  Grid out(f.width, f.height);
  for (int y = 0; y < f.height; ++y) {
    for (int x = 0; x < f.width; ++x) {
      const bool odd = (x & 1) != 0;
      std::int64_t value = 0;
      if (!bpg::is_mpeg2_sited(f.chroma)) {
        value = (doubling(odd).across(tall, x / 2, y) + half_of(shift)) >> shift;
      } else if (odd) {
        value = (between.across(tall, x / 2, y) + half_of(shift)) >> shift;
      } else {
        value = (tall.at(x / 2, y) + half_of(shift - 6)) >> (shift - 6);
      }
      out.at(x, y) = clamp(value, 0, max);
    }
  }
  return out;
}

struct Weights {
  double red;
  double blue;
};

inline Weights weights(ColorSpace space) {
  if (space == ColorSpace::ycbcr_bt709) {
    return {.2126, .0722};
  }
  if (space == ColorSpace::ycbcr_bt2020) {
    return {.2627, .0593};
  }
  return {.299, .114};
}

inline std::int64_t nearest(double x) { return std::lrint(x); }

/// Channels of integers 0..in_max (1, 3 or 4 of them) to planes.
inline Grids import_reference(Grids in, int channels, std::int64_t in_max, const Format& f) {
  const int b = f.bit_depth;
  const int shift = 31 - b;
  const double unit = std::pow(2.0, shift);
  const std::int64_t max = (std::int64_t{1} << b) - 1;
  const std::int64_t mid = std::int64_t{1} << (b - 1);
  const std::int64_t rnd = std::int64_t{1} << (shift - 1);
  const double m = static_cast<double>(max) * unit / static_cast<double>(in_max);
  const double my = f.limited_range ? (219 << (b - 8)) * unit / static_cast<double>(in_max) : m;
  const double mc = f.limited_range ? (224 << (b - 8)) * unit / static_cast<double>(in_max) : m;
  const std::int64_t off = rnd + (f.limited_range ? std::int64_t{16} << (shift + b - 8) : 0);

  Grids out;
  const bool gray_source = channels == 1;
  if (gray_source) {
    in[1] = in[0];
    in[2] = in[0];
  }
  if (f.alpha != Alpha::none) {
    out[3] = Grid(f.width, f.height);
    for (int y = 0; y < f.height; ++y) {
      for (int x = 0; x < f.width; ++x) {
        const std::int64_t a = channels == 4 ? in[3].at(x, y) : in_max;
        out[3].at(x, y) = (nearest(m) * a + rnd) >> shift;
        for (std::size_t c = 0; c < 3 && f.alpha == Alpha::premultiplied; ++c) {
          in[c].at(x, y) =
              nearest(static_cast<double>(in[c].at(x, y) * a) / static_cast<double>(in_max));
        }
      }
    }
  }

  Grids full;
  for (std::size_t p = 0; p < 3; ++p) {
    full[p] = Grid(f.width, f.height);
  }
  const Weights w = weights(f.color_space);
  const double kr = w.red;
  const double kb = w.blue;
  const double kg = 1 - kr - kb;
  for (int y = 0; y < f.height; ++y) {
    for (int x = 0; x < f.width; ++x) {
      const std::int64_t r = in[0].at(x, y);
      const std::int64_t g = in[1].at(x, y);
      const std::int64_t bl = in[2].at(x, y);
      const bool gray_plane = f.chroma == Chroma::gray;
      std::int64_t p0 = 0;
      std::int64_t p1 = 0;
      std::int64_t p2 = 0;
      if (gray_plane && gray_source) {
        p0 = (nearest(my) * g + off) >> shift;
      } else if (f.color_space == ColorSpace::rgb && !gray_plane) {
        p0 = (nearest(my) * g + off) >> shift;
        p1 = (nearest(my) * bl + off) >> shift;
        p2 = (nearest(my) * r + off) >> shift;
      } else if (f.color_space == ColorSpace::ycgco) {
        const std::int64_t h = nearest(my / 2);
        const std::int64_t q = nearest(my / 4);
        p0 = (h * g + q * (r + bl) + off) >> shift;
        p1 = ((h * g - q * (r + bl) + rnd) >> shift) + mid;
        p2 = ((h * (r - bl) + rnd) >> shift) + mid;
      } else {
        p0 = (nearest(kr * my) * r + nearest(kg * my) * g + nearest(kb * my) * bl + off) >> shift;
        p1 = ((nearest(-.5 * kr / (1 - kb) * mc) * r + nearest(-.5 * kg / (1 - kb) * mc) * g +
               nearest(.5 * mc) * bl + rnd) >>
              shift) +
             mid;
        p2 = ((nearest(.5 * mc) * r + nearest(-.5 * kg / (1 - kr) * mc) * g +
               nearest(-.5 * kb / (1 - kr) * mc) * bl + rnd) >>
              shift) +
             mid;
      }
      full[0].at(x, y) = clamp(p0, 0, max);
      full[1].at(x, y) = clamp(p1, 0, max);
      full[2].at(x, y) = clamp(p2, 0, max);
    }
  }
  out[0] = full[0];
  if (f.chroma != Chroma::gray) {
    out[1] = downsample(full[1], f);
    out[2] = downsample(full[2], f);
  }
  return out;
}

/// The colour c of a premultiplied pixel, divided by its alpha.
inline std::int64_t divided(std::int64_t c, std::int64_t a, int out_bits) {
  const std::int64_t max = (std::int64_t{1} << out_bits) - 1;
  if (a == 0 || c >= a) {
    return max;
  }
  if (out_bits == 8) {
    const std::int64_t inv = ((std::int64_t{255} << 16) + a / 2 + 128) / a;
    return (c * inv + (1 << 15)) >> 16;
  }
  const std::int64_t inv = ((std::int64_t{65535} << 15) + a / 2) / a;
  return (c * inv + (1 << 14)) >> 15;
}

/// Planes to R, G, B and alpha of `out_bits` bits. `keep_alpha`: for an RGBA image.
inline Grids export_reference(const Grids& planes, const Format& f, int out_bits, bool keep_alpha) {
  const int b = f.bit_depth;
  const int shift = 30 - out_bits;
  const double unit = std::pow(2.0, shift);
  const std::int64_t in_max = (std::int64_t{1} << b) - 1;
  const std::int64_t max = (std::int64_t{1} << out_bits) - 1;
  const std::int64_t mid = std::int64_t{1} << (b - 1);
  const std::int64_t rnd = std::int64_t{1} << (shift - 1);
  const double m = static_cast<double>(max) * unit / static_cast<double>(in_max);
  const double my = f.limited_range ? static_cast<double>(max) * unit / (219 << (b - 8)) : m;
  const double mc = f.limited_range ? static_cast<double>(max) * unit / (224 << (b - 8)) : m;
  const std::int64_t y1 = nearest(my);
  const std::int64_t off = rnd - (f.limited_range ? (16 << (b - 8)) * y1 : 0);
  const Weights w = weights(f.color_space);
  const double kr = w.red;
  const double kb = w.blue;
  const double kg = 1 - kb - kr;

  Grids in = planes;
  const bool gray = f.chroma == Chroma::gray;
  if (!gray) {
    in[1] = upsample(planes[1], f);
    in[2] = upsample(planes[2], f);
  }
  Grids out;
  for (Grid& grid : out) {
    grid = Grid(f.width, f.height);
  }
  const auto unchanged = [&](std::int64_t v) { return clamp((v * y1 + off) >> shift, 0, max); };
  for (int y = 0; y < f.height; ++y) {
    for (int x = 0; x < f.width; ++x) {
      std::int64_t rgb[3];
      const std::int64_t v0 = in[0].at(x, y);
      if (gray) {
        rgb[0] = rgb[1] = rgb[2] = unchanged(v0);
      } else if (f.color_space == ColorSpace::rgb) {
        rgb[0] = unchanged(in[2].at(x, y));
        rgb[1] = unchanged(v0);
        rgb[2] = unchanged(in[1].at(x, y));
      } else {
        const std::int64_t c1 = in[1].at(x, y) - mid;
        const std::int64_t c2 = in[2].at(x, y) - mid;
        if (f.color_space == ColorSpace::ycgco) {
          rgb[0] = (v0 - c1 + c2) * y1 + off;
          rgb[1] = (v0 + c1) * y1 + off;
          rgb[2] = (v0 - c1 - c2) * y1 + off;
        } else {
          rgb[0] = v0 * y1 + nearest(2 * (1 - kr) * mc) * c2 + off;
          rgb[1] = v0 * y1 - nearest(2 * kb * (1 - kb) / kg * mc) * c1 -
                   nearest(2 * kr * (1 - kr) / kg * mc) * c2 + off;
          rgb[2] = v0 * y1 + nearest(2 * (1 - kb) * mc) * c1 + off;
        }
        for (std::int64_t& v : rgb) {
          v = clamp(v >> shift, 0, max);
        }
      }
      const bool alpha_plane = f.alpha == Alpha::straight || f.alpha == Alpha::premultiplied;
      out[3].at(x, y) =
          alpha_plane && keep_alpha ? (nearest(m) * in[3].at(x, y) + rnd) >> shift : max;
      for (std::size_t c = 0; c < 3; ++c) {
        if (f.alpha == Alpha::w_plane) {
          rgb[c] = (rgb[c] * in[3].at(x, y) + (std::int64_t{1} << (b - 1))) >> b;
        } else if (f.alpha == Alpha::premultiplied && keep_alpha) {
          rgb[c] = divided(rgb[c], out[3].at(x, y), out_bits);
        }
        out[c].at(x, y) = rgb[c];
      }
    }
  }
  return out;
}

}  // namespace bpg_test
