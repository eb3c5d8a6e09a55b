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

BPG_ALWAYS_INLINE float to_real(float x) { return x; }
BPG_ALWAYS_INLINE double to_real(double x) { return x; }
BPG_ALWAYS_INLINE float to_real(Half x) { return half_to_float(x.bits); }

/// floor(x * levels + 0.5), in the type of `levels`, of x clamped to [0, 1]; NaN counts as 0.
/// Tells whether anything was clamped.
template <class Real, class Sample>
BPG_ALWAYS_INLINE bool quantise(const Sample* BPG_RESTRICT in, int count, Real levels,
                                std::uint16_t* BPG_RESTRICT out) {
  int clamped = 0;
  for (int i = 0; i < count; ++i) {
    const Real x = to_real(in[i]);
    const Real above = x > Real(0) ? x : Real(0);
    const Real inside = above < Real(1) ? above : Real(1);
    clamped |= inside != x ? 1 : 0;
    // Two roundings: this file is compiled without contraction into a fused multiply-add.
    const Real scaled = inside * levels;
    out[i] = static_cast<std::uint16_t>(static_cast<std::int32_t>(scaled + Real(0.5)));
  }
  return clamped != 0;
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

/// Says what was wrong in a row that quantise_row had to clamp.
template <class Sample>
void inspect(const Sample* in, int count, RangeReport& report) {
  for (int i = 0; i < count; ++i) {
    const auto x = to_real(in[i]);
    report.nan = report.nan || std::isnan(x);
    report.outside = report.outside || x < 0 || x > 1;
  }
}

/// level / levels, rounded once to a float. 1 / levels is split into a head, whose product with a
/// level is exact, and a tail; test_color checks every level.
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

BPG_SIMD_CLONES void write_floats(const std::uint16_t* BPG_RESTRICT in, int count, ToFloat convert,
                                  float* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = convert(in[i]);
  }
}

BPG_SIMD_CLONES void write_halves(const std::uint16_t* BPG_RESTRICT in, int count, ToFloat convert,
                                  Half* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i].bits = float_to_half(convert(in[i]));
  }
}

BPG_SIMD_CLONES void write_doubles(const std::uint16_t* BPG_RESTRICT in, int count, double levels,
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

std::size_t size_of(SampleType type) {
  switch (type) {
    case SampleType::u8:
      return 1;
    case SampleType::u16:
    case SampleType::f16:
      return 2;
    case SampleType::f32:
      return 4;
    case SampleType::f64:
      break;
  }
  return 8;
}

template <class Sample, class Pointer>
bool is_packed(Pointer first, std::ptrdiff_t stride) {
  return stride == static_cast<std::ptrdiff_t>(sizeof(Sample)) &&
         reinterpret_cast<std::uintptr_t>(first) % alignof(Sample) == 0;
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

RowReader::RowReader(const ConstImageView& image, int level_max)
    : image_(image),
      level_max_(level_max),
      gathered_(static_cast<std::size_t>(image.width) * size_of(image.type)) {}

template <class Sample>
const Sample* RowReader::samples(int channel, int y) {
  const std::byte* from = image_.data + channel * image_.stride_c + y * image_.stride_y;
  if (is_packed<Sample>(from, image_.stride_x)) {
    return reinterpret_cast<const Sample*>(from);
  }
  auto* to = reinterpret_cast<Sample*>(gathered_.data());
  for (int x = 0; x < image_.width; ++x) {
    std::memcpy(to + x, from + x * image_.stride_x, sizeof(Sample));
  }
  return to;
}

template <class Sample>
void RowReader::read_floats(int channel, int y, std::uint16_t* levels) {
  const Sample* in = samples<Sample>(channel, y);
  if (quantise_row(in, image_.width, level_max_, levels)) {
    inspect(in, image_.width, range_);
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

RowWriter::RowWriter(const ImageView& image, int level_max)
    : image_(image),
      level_max_(level_max),
      scattered_(static_cast<std::size_t>(image.width) * size_of(image.type)) {}

template <class Sample, class Convert>
void RowWriter::put(int channel, int y, const std::uint16_t* levels, Convert convert) {
  std::byte* to = image_.data + channel * image_.stride_c + y * image_.stride_y;
  if (is_packed<Sample>(to, image_.stride_x)) {
    convert(levels, image_.width, reinterpret_cast<Sample*>(to));
    return;
  }
  auto* from = reinterpret_cast<Sample*>(scattered_.data());
  convert(levels, image_.width, from);
  for (int x = 0; x < image_.width; ++x) {
    std::memcpy(to + x * image_.stride_x, from + x, sizeof(Sample));
  }
}

void RowWriter::write(int channel, int y, const std::uint16_t* levels) {
  switch (image_.type) {
    case SampleType::u8:
      return put<std::uint8_t>(channel, y, levels, narrow);
    case SampleType::u16:
      return put<std::uint16_t>(channel, y, levels,
                                std::copy_n<const std::uint16_t*, int, std::uint16_t*>);
    case SampleType::f16:
      return put<Half>(channel, y, levels, [this](const std::uint16_t* in, int count, Half* out) {
        write_halves(in, count, to_float_for_half(level_max_), out);
      });
    case SampleType::f32:
      return put<float>(channel, y, levels, [this](const std::uint16_t* in, int count, float* out) {
        write_floats(in, count, to_float(level_max_), out);
      });
    case SampleType::f64:
      return put<double>(channel, y, levels,
                         [this](const std::uint16_t* in, int count, double* out) {
                           write_doubles(in, count, level_max_, out);
                         });
  }
}

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
