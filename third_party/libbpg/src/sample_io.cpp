#include "sample_io.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "half.hpp"
#include "simd.hpp"

namespace bpg {
namespace {

/// A half as it lies in memory.
struct Half {
  std::uint16_t bits;
};

// ---- Floats to levels ---------------------------------------------------------------------------

template <class Real>
struct BitsOf;
template <>
struct BitsOf<float> {
  using Unsigned = std::uint32_t;
  using Signed = std::int32_t;
  static constexpr Signed kOne = 0x3f800000;
};
template <>
struct BitsOf<double> {
  using Unsigned = std::uint64_t;
  using Signed = std::int64_t;
  static constexpr Signed kOne = 0x3ff0000000000000;
};

BPG_ALWAYS_INLINE float to_real(float x) { return x; }
BPG_ALWAYS_INLINE double to_real(double x) { return x; }
BPG_ALWAYS_INLINE float to_real(Half x) { return half_to_float(x.bits); }

/// floor(x * levels + 0.5), in the type of `levels`, of x clamped to [0, 1]. A compiler that fuses
/// the product and the sum into one rounding changes no level of any float.
template <class Real>
BPG_ALWAYS_INLINE std::uint16_t to_level(Real inside, Real levels) {
  const Real scaled = inside * levels;
  return static_cast<std::uint16_t>(static_cast<std::int32_t>(scaled + Real(0.5)));
}

/// Clamps by comparing bit patterns as integers, which order floats of one sign and put negative
/// ones below zero; compilers do not vectorise a clamp of floats that may be NaN. True when all
/// samples lie in [0, 1] and none is -0; otherwise NaN may have become 1.
template <class Real, class Sample>
BPG_ALWAYS_INLINE bool quantise(const Sample* BPG_RESTRICT in, int count, Real levels,
                                std::uint16_t* BPG_RESTRICT out) {
  using Unsigned = typename BitsOf<Real>::Unsigned;
  using Signed = typename BitsOf<Real>::Signed;
  constexpr Signed kOne = BitsOf<Real>::kOne;
  Unsigned worst = 0;
  for (int i = 0; i < count; ++i) {
    const Real x = to_real(in[i]);
    Unsigned bits;
    std::memcpy(&bits, &x, sizeof bits);
    worst = std::max(worst, bits);
    const Signed clamped = std::clamp<Signed>(static_cast<Signed>(bits), 0, kOne);
    Real inside;
    std::memcpy(&inside, &clamped, sizeof inside);
    out[i] = to_level(inside, levels);
  }
  return worst <= static_cast<Unsigned>(kOne);
}

BPG_SIMD_CLONES bool quantise_row(const Half* in, int count, int levels, std::uint16_t* out) {
  return quantise(in, count, static_cast<float>(levels), out);
}
BPG_SIMD_CLONES bool quantise_row(const float* in, int count, int levels, std::uint16_t* out) {
  return quantise(in, count, static_cast<float>(levels), out);
}
BPG_SIMD_CLONES bool quantise_row(const double* in, int count, int levels, std::uint16_t* out) {
  return quantise(in, count, static_cast<double>(levels), out);
}

/// Says what is wrong with a row, and makes its NaN 0.
template <class Sample>
void inspect(const Sample* in, int count, RangeReport& report, std::uint16_t* levels) {
  for (int i = 0; i < count; ++i) {
    const auto x = to_real(in[i]);
    if (std::isnan(x)) {
      report.nan = true;
      levels[i] = 0;
    }
    report.outside = report.outside || x < 0 || x > 1;
  }
}

// ---- Levels to samples --------------------------------------------------------------------------

/// level / levels, rounded once to a float. 1 / levels is split into a head, whose product with a
/// level is exact, and a tail.
struct ToFloat {
  float head;
  float tail;

  BPG_ALWAYS_INLINE float operator()(std::uint16_t level) const {
    const auto v = static_cast<float>(static_cast<std::int32_t>(level));
    return v * head + v * tail;
  }
};

ToFloat to_float(int levels) {
  // 1 / (2^b - 1) = 2^-b + 2^-2b + 2^-3b + ...
  if (levels == 255) {
    return {0x1.01p-8F, 0x1.0101p-24F};
  }
  return {0x1p-16F, 0x1.0001p-32F};
}

/// The same for rounding to half afterwards. Of 16-bit levels two would reach a tie between halves
/// by being rounded to float; a shorter tail keeps them, and all others, on their side of it.
ToFloat to_float_for_half(int levels) {
  ToFloat convert = to_float(levels);
  if (levels == 65535) {
    convert.tail = 0x1p-33F;
  }
  return convert;
}

BPG_SIMD_CLONES void to_floats(const std::uint16_t* BPG_RESTRICT in, int count, const ToFloat& any,
                               float* BPG_RESTRICT out) {
  const ToFloat convert = any;
  for (int i = 0; i < count; ++i) {
    out[i] = convert(in[i]);
  }
}

BPG_SIMD_CLONES void to_halves(const std::uint16_t* BPG_RESTRICT in, int count, const ToFloat& any,
                               Half* BPG_RESTRICT out) {
  const ToFloat convert = any;
  for (int i = 0; i < count; ++i) {
    out[i].bits = float_to_half(convert(in[i]));
  }
}

BPG_SIMD_CLONES void to_doubles(const std::uint16_t* BPG_RESTRICT in, int count, double levels,
                                double* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = in[i] / levels;
  }
}

BPG_SIMD_CLONES void widen(const std::uint8_t* BPG_RESTRICT in, int count,
                           std::uint16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = in[i];
  }
}

BPG_SIMD_CLONES void narrow(const std::uint16_t* BPG_RESTRICT in, int count,
                            std::uint8_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(in[i]);
  }
}

void convert(const std::uint16_t* in, int count, int /*levels*/, std::uint8_t* out) {
  narrow(in, count, out);
}
void convert(const std::uint16_t* in, int count, int /*levels*/, std::uint16_t* out) {
  std::copy_n(in, count, out);
}
void convert(const std::uint16_t* in, int count, int levels, Half* out) {
  to_halves(in, count, to_float_for_half(levels), out);
}
void convert(const std::uint16_t* in, int count, int levels, float* out) {
  to_floats(in, count, to_float(levels), out);
}
void convert(const std::uint16_t* in, int count, int levels, double* out) {
  to_doubles(in, count, levels, out);
}

// ---- Memory layouts -----------------------------------------------------------------------------

/// Interleaved images have steps of 3 or 4 samples; a constant step lets the loop vectorise.
template <class Sample>
BPG_ALWAYS_INLINE void gather(const Sample* BPG_RESTRICT in, std::ptrdiff_t step, int count,
                              Sample* BPG_RESTRICT out) {
  if (step == 3) {
    for (int i = 0; i < count; ++i) {
      out[i] = in[3 * i];
    }
  } else if (step == 4) {
    for (int i = 0; i < count; ++i) {
      out[i] = in[4 * i];
    }
  } else {
    for (int i = 0; i < count; ++i) {
      out[i] = in[i * step];
    }
  }
}

BPG_SIMD_CLONES void gather_row(const std::uint8_t* in, std::ptrdiff_t step, int count,
                                std::uint8_t* out) {
  gather(in, step, count, out);
}
BPG_SIMD_CLONES void gather_row(const std::uint16_t* in, std::ptrdiff_t step, int count,
                                std::uint16_t* out) {
  gather(in, step, count, out);
}
BPG_SIMD_CLONES void gather_row(const Half* in, std::ptrdiff_t step, int count, Half* out) {
  gather(in, step, count, out);
}
BPG_SIMD_CLONES void gather_row(const float* in, std::ptrdiff_t step, int count, float* out) {
  gather(in, step, count, out);
}
BPG_SIMD_CLONES void gather_row(const double* in, std::ptrdiff_t step, int count, double* out) {
  gather(in, step, count, out);
}

/// `in` holds `channels` rows of `count` samples, one after the other.
template <class Sample>
BPG_ALWAYS_INLINE void interleave(const Sample* BPG_RESTRICT in, int channels, int count,
                                  Sample* BPG_RESTRICT out) {
  const Sample* a = in;
  const Sample* b = a + count;
  const Sample* c = b + count;
  if (channels == 3) {
    for (int i = 0; i < count; ++i) {
      out[3 * i] = a[i];
      out[3 * i + 1] = b[i];
      out[3 * i + 2] = c[i];
    }
    return;
  }
  const Sample* d = c + count;
  for (int i = 0; i < count; ++i) {
    out[4 * i] = a[i];
    out[4 * i + 1] = b[i];
    out[4 * i + 2] = c[i];
    out[4 * i + 3] = d[i];
  }
}

BPG_SIMD_CLONES void interleave_row(const std::uint8_t* in, int channels, int count,
                                    std::uint8_t* out) {
  interleave(in, channels, count, out);
}
BPG_SIMD_CLONES void interleave_row(const std::uint16_t* in, int channels, int count,
                                    std::uint16_t* out) {
  interleave(in, channels, count, out);
}
BPG_SIMD_CLONES void interleave_row(const Half* in, int channels, int count, Half* out) {
  interleave(in, channels, count, out);
}
BPG_SIMD_CLONES void interleave_row(const float* in, int channels, int count, float* out) {
  interleave(in, channels, count, out);
}
BPG_SIMD_CLONES void interleave_row(const double* in, int channels, int count, double* out) {
  interleave(in, channels, count, out);
}

template <class Sample>
void scatter(const Sample* in, int count, std::byte* out, std::ptrdiff_t stride) {
  for (int i = 0; i < count; ++i) {
    std::memcpy(out, in + i, sizeof(Sample));
    out += stride;
  }
}

template <class Sample>
constexpr auto kSize = static_cast<std::ptrdiff_t>(sizeof(Sample));

template <class Sample, class Byte>
bool is_aligned(Byte* address) {
  return reinterpret_cast<std::uintptr_t>(address) % alignof(Sample) == 0;
}

}  // namespace

int level_max(SampleType type, int bit_depth) {
  switch (type) {
    case SampleType::u8:
      return 255;
    case SampleType::u16:
      return 65535;
    default:
      return bit_depth == 8 ? 255 : 65535;
  }
}

// ---- RowReader ----------------------------------------------------------------------------------

RowReader::RowReader(const ConstImageView& image, int level_max)
    : image_(image),
      level_max_(level_max),
      gathered_(static_cast<std::size_t>(image.width) * sample_size(image.type)) {}

template <class Sample>
const Sample* RowReader::samples(int channel, int y) {
  const std::byte* from = image_.data + channel * image_.stride_c + y * image_.stride_y;
  const std::ptrdiff_t stride = image_.stride_x;
  const bool aligned = is_aligned<Sample>(from);
  if (aligned && stride == kSize<Sample>) {
    return reinterpret_cast<const Sample*>(from);
  }
  auto* to = reinterpret_cast<Sample*>(gathered_.data());
  if (aligned && stride % kSize<Sample> == 0) {
    gather_row(reinterpret_cast<const Sample*>(from), stride / kSize<Sample>, image_.width, to);
    return to;
  }
  for (int x = 0; x < image_.width; ++x) {
    std::memcpy(to + x, from + x * stride, sizeof(Sample));
  }
  return to;
}

template <class Sample>
void RowReader::read_floats(int channel, int y, std::uint16_t* levels) {
  const Sample* in = samples<Sample>(channel, y);
  if (!quantise_row(in, image_.width, level_max_, levels)) {
    inspect(in, image_.width, range_, levels);
  }
}

void RowReader::read(int channel, int y, std::uint16_t* levels) {
  switch (image_.type) {
    case SampleType::u8:
      return widen(samples<std::uint8_t>(channel, y), image_.width, levels);
    case SampleType::u16:
      std::copy_n(samples<std::uint16_t>(channel, y), image_.width, levels);
      return;
    case SampleType::f16:
      return read_floats<Half>(channel, y, levels);
    case SampleType::f32:
      return read_floats<float>(channel, y, levels);
    case SampleType::f64:
      return read_floats<double>(channel, y, levels);
  }
}

// ---- RowWriter ----------------------------------------------------------------------------------

RowWriter::RowWriter(const ImageView& image, int level_max)
    : image_(image),
      level_max_(level_max),
      scattered_(static_cast<std::size_t>(image.width) * sample_size(image.type) *
                 static_cast<std::size_t>(image.channels)) {}

template <class Sample>
void RowWriter::put(int y, const LevelRows& levels) {
  const int width = image_.width;
  const int channels = image_.channels;
  std::byte* const row = image_.data + y * image_.stride_y;
  auto* const rows = reinterpret_cast<Sample*>(scattered_.data());
  const bool interleaved = channels > 1 && image_.stride_c == kSize<Sample> &&
                           image_.stride_x == kSize<Sample> * channels && is_aligned<Sample>(row);
  for (int c = 0; c < channels; ++c) {
    const std::uint16_t* const from = levels[static_cast<std::size_t>(c)];
    std::byte* const to = row + c * image_.stride_c;
    if (image_.stride_x == kSize<Sample> && is_aligned<Sample>(to)) {
      convert(from, width, level_max_, reinterpret_cast<Sample*>(to));
      continue;
    }
    Sample* const converted = rows + static_cast<std::ptrdiff_t>(c) * width;
    convert(from, width, level_max_, converted);
    if (!interleaved) {
      scatter(converted, width, to, image_.stride_x);
    }
  }
  if (interleaved) {
    interleave_row(rows, channels, width, reinterpret_cast<Sample*>(row));
  }
}

void RowWriter::write(int y, const LevelRows& levels) {
  switch (image_.type) {
    case SampleType::u8:
      return put<std::uint8_t>(y, levels);
    case SampleType::u16:
      return put<std::uint16_t>(y, levels);
    case SampleType::f16:
      return put<Half>(y, levels);
    case SampleType::f32:
      return put<float>(y, levels);
    case SampleType::f64:
      return put<double>(y, levels);
  }
}

// ---- Planes -------------------------------------------------------------------------------------

void load_plane_row(const ConstPlane& plane, int bit_depth, int y, int count,
                    std::uint16_t* samples) {
  const std::byte* row = plane.data + y * plane.stride;
  if (bit_depth == 8) {
    widen(reinterpret_cast<const std::uint8_t*>(row), count, samples);
  } else {
    std::memcpy(samples, row, static_cast<std::size_t>(count) * sizeof *samples);
  }
}

void store_plane_row(const Plane& plane, int bit_depth, int y, int count,
                     const std::uint16_t* samples) {
  std::byte* row = plane.data + y * plane.stride;
  if (bit_depth == 8) {
    narrow(samples, count, reinterpret_cast<std::uint8_t*>(row));
  } else {
    std::memcpy(row, samples, static_cast<std::size_t>(count) * sizeof *samples);
  }
}

}  // namespace bpg
