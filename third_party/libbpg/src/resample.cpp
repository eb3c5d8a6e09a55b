#include "resample.hpp"

#include <algorithm>

#include "color_rows.hpp"
#include "sample_io.hpp"
#include "simd.hpp"

namespace bpg {
namespace {

// The filters' taps sum to a power of two, so removing the mid-level beforehand changes no
// rounding; it keeps 8-bit sums within 16 bits.

/// Samples 2i-4 .. 2i+5, symmetric about the pair (2i, 2i+1).
template <class Sum>
BPG_ALWAYS_INLINE Sum halve_pair(const std::int16_t* p) {
  const Sum a = static_cast<Sum>(p[-4] + p[5]);
  const Sum b = static_cast<Sum>(p[-3] + p[4]);
  const Sum c = static_cast<Sum>(p[-2] + p[3]);
  const Sum d = static_cast<Sum>(p[-1] + p[2]);
  const Sum e = static_cast<Sum>(p[0] + p[1]);
  return static_cast<Sum>(2 * a - 4 * b - 8 * c + 17 * d + 57 * e);
}

/// Samples 2i-7 .. 2i+7, symmetric about 2i.
template <class Sum>
BPG_ALWAYS_INLINE Sum halve_cosited(const std::int16_t* p) {
  const Sum a = static_cast<Sum>(p[-7] + p[7]);
  const Sum b = static_cast<Sum>(p[-5] + p[5]);
  const Sum c = static_cast<Sum>(p[-3] + p[3]);
  const Sum d = static_cast<Sum>(p[-1] + p[1]);
  return static_cast<Sum>(64 * p[0] + 40 * d - 11 * c + 4 * b - a);
}

template <class Sum, bool cosited>
BPG_ALWAYS_INLINE void halve(const std::int16_t* BPG_RESTRICT in, int count, int round, int shift,
                             std::int16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    const Sum sum = cosited ? halve_cosited<Sum>(in + 2 * i) : halve_pair<Sum>(in + 2 * i);
    out[i] = static_cast<std::int16_t>(static_cast<Sum>(sum + static_cast<Sum>(round)) >> shift);
  }
}

// 8 bits: at most 176 * 128 + 64, which fits 16 bits.
BPG_SIMD_CLONES void halve_pairs_8(const std::int16_t* in, int count, int round, int shift,
                                   std::int16_t* out) {
  halve<std::int16_t, false>(in, count, round, shift, out);
}
BPG_SIMD_CLONES void halve_pairs_16(const std::int16_t* in, int count, int round, int shift,
                                    std::int16_t* out) {
  halve<std::int32_t, false>(in, count, round, shift, out);
}
BPG_SIMD_CLONES void halve_cosited_8(const std::int16_t* in, int count, int round, int shift,
                                     std::int16_t* out) {
  halve<std::int16_t, true>(in, count, round, shift, out);
}
BPG_SIMD_CLONES void halve_cosited_16(const std::int16_t* in, int count, int round, int shift,
                                      std::int16_t* out) {
  halve<std::int32_t, true>(in, count, round, shift, out);
}

void halve_row(const Format& format, const std::int16_t* in, int count, int shift,
               std::int16_t* out) {
  const int round = 1 << (shift - 1);
  const bool narrow = format.bit_depth == 8;
  if (is_mpeg2_sited(format.chroma)) {
    (narrow ? halve_cosited_8 : halve_cosited_16)(in, count, round, shift, out);
  } else {
    (narrow ? halve_pairs_8 : halve_pairs_16)(in, count, round, shift, out);
  }
}

using TenRows = std::array<const std::int16_t*, 10>;

BPG_SIMD_CLONES void halve_rows(const TenRows& rows, int count, int shift, int mid,
                                std::uint16_t* BPG_RESTRICT out) {
  const TenRows r = rows;
  const std::int32_t round = 1 << (shift - 1);
  const std::int32_t max = 2 * mid - 1;
  for (int i = 0; i < count; ++i) {
    const std::int32_t sum = 2 * (r[0][i] + r[9][i]) - 4 * (r[1][i] + r[8][i]) -
                             8 * (r[2][i] + r[7][i]) + 17 * (r[3][i] + r[6][i]) +
                             57 * (r[4][i] + r[5][i]);
    out[i] = static_cast<std::uint16_t>(std::clamp(((sum + round) >> shift) + mid, 0, max));
  }
}

BPG_SIMD_CLONES void add_and_clamp(const std::int16_t* BPG_RESTRICT in, int count, int mid,
                                   std::uint16_t* BPG_RESTRICT out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint16_t>(std::clamp(in[i] + mid, 0, 2 * mid - 1));
  }
}

/// Seven rows (or samples) around a stored one, in the order that the taps of an odd output take
/// them; an even output takes them backwards.
template <class Sample>
using SevenRows = std::array<const Sample*, 7>;

/// Sums of at most 98 * 255 fit 16 bits for bytes.
template <class Sum, class Sample>
BPG_ALWAYS_INLINE void double_rows(const SevenRows<Sample>& rows, int count, int bit_depth,
                                   std::int16_t* BPG_RESTRICT out) {
  const SevenRows<Sample> r = rows;
  const int shift = bit_depth - 8;
  const int bias = (shift > 0 ? 1 << (shift - 1) : 0) - (64 << (bit_depth - 1));
  for (int i = 0; i < count; ++i) {
    const Sum sum = static_cast<Sum>(-r[0][i] + 4 * r[1][i] - 10 * r[2][i] + 57 * r[3][i] +
                                     18 * r[4][i] - 6 * r[5][i] + 2 * r[6][i]);
    out[i] = static_cast<std::int16_t>(static_cast<Sum>(sum + static_cast<Sum>(bias)) >> shift);
  }
}

BPG_SIMD_CLONES void double_rows_8(const SevenRows<std::uint8_t>& rows, int count, int bit_depth,
                                   std::int16_t* out) {
  double_rows<std::int16_t>(rows, count, bit_depth, out);
}
BPG_SIMD_CLONES void double_rows_16(const SevenRows<std::uint16_t>& rows, int count, int bit_depth,
                                    std::int16_t* out) {
  double_rows<std::int32_t>(rows, count, bit_depth, out);
}

template <class Sample>
SevenRows<Sample> seven_rows(const ConstPlane& plane, int height, int y) {
  SevenRows<Sample> rows;
  const int step = (y & 1) != 0 ? 1 : -1;
  for (int i = 0; i < 7; ++i) {
    const int at = std::clamp(y / 2 + step * (i - 3), 0, height - 1);
    rows[static_cast<std::size_t>(i)] =
        reinterpret_cast<const Sample*>(plane.data + at * plane.stride);
  }
  return rows;
}

/// `count` stored samples become 2 * count, clamped to -mid .. mid-1.
BPG_SIMD_CLONES void double_pairs(const std::int16_t* BPG_RESTRICT in, int count, int shift,
                                  int mid, std::int16_t* BPG_RESTRICT out) {
  const std::int32_t round = 1 << (shift - 1);
  for (int i = 0; i < count; ++i) {
    const std::int16_t* p = in + i;
    const std::int32_t even =
        2 * p[-3] - 6 * p[-2] + 18 * p[-1] + 57 * p[0] - 10 * p[1] + 4 * p[2] - p[3];
    const std::int32_t odd =
        -p[-3] + 4 * p[-2] - 10 * p[-1] + 57 * p[0] + 18 * p[1] - 6 * p[2] + 2 * p[3];
    out[2 * i] = static_cast<std::int16_t>(std::clamp((even + round) >> shift, -mid, mid - 1));
    out[2 * i + 1] = static_cast<std::int16_t>(std::clamp((odd + round) >> shift, -mid, mid - 1));
  }
}

/// The same where even outputs lie on stored samples, which are `shift - 6` bits too large.
BPG_SIMD_CLONES void double_cosited(const std::int16_t* BPG_RESTRICT in, int count, int shift,
                                    int mid, std::int16_t* BPG_RESTRICT out) {
  const std::int32_t round = 1 << (shift - 1);
  const int excess = shift - 6;
  const std::int32_t excess_round = excess > 0 ? 1 << (excess - 1) : 0;
  for (int i = 0; i < count; ++i) {
    const std::int16_t* p = in + i;
    const std::int32_t odd =
        40 * (p[0] + p[1]) - 11 * (p[-1] + p[2]) + 4 * (p[-2] + p[3]) - (p[-3] + p[4]);
    out[2 * i] =
        static_cast<std::int16_t>(std::clamp((p[0] + excess_round) >> excess, -mid, mid - 1));
    out[2 * i + 1] = static_cast<std::int16_t>(std::clamp((odd + round) >> shift, -mid, mid - 1));
  }
}

int mid_level(const Format& format) { return 1 << (format.bit_depth - 1); }

}  // namespace

void PaddedRow::extend() {
  std::int16_t* row = data();
  std::fill(row - kPad, row, row[0]);
  std::fill(row + width_, row + width_ + kPad, row[width_ - 1]);
}

ChromaWriter::ChromaWriter(const Format& format, const Plane& plane)
    : format_(format),
      plane_(plane),
      width_(subsampled(format.width, chroma_shift_x(format.chroma))),
      row_(format.width),
      samples_(static_cast<std::size_t>(width_)) {
  if (is_420(format.chroma)) {
    for (auto& row : ring_) {
      row.resize(static_cast<std::size_t>(width_));
    }
  }
}

void ChromaWriter::push() {
  const int y = rows_in_++;
  if (chroma_shift_x(format_.chroma) == 0) {
    uncenter_row(row_.data(), width_, mid_level(format_), samples_.data());
    store_plane_row(plane_, format_.bit_depth, y, width_, samples_.data());
    return;
  }
  row_.extend();
  if (is_422(format_.chroma)) {
    std::vector<std::int16_t>& half = ring_[0];
    half.resize(static_cast<std::size_t>(width_));
    halve_row(format_, row_.data(), width_, 7, half.data());
    add_and_clamp(half.data(), width_, mid_level(format_), samples_.data());
    store_plane_row(plane_, format_.bit_depth, y, width_, samples_.data());
    return;
  }
  halve_row(format_, row_.data(), width_, format_.bit_depth - 7,
            ring_[static_cast<std::size_t>(y % kTaps)].data());
  const bool last = rows_in_ == format_.height;
  while (2 * rows_out_ + 5 <= y || (last && 2 * rows_out_ < format_.height)) {
    filter_and_store(rows_out_++);
  }
}

void ChromaWriter::filter_and_store(int plane_row) {
  TenRows rows{};
  for (int i = 0; i < kTaps; ++i) {
    const int at = std::clamp(2 * plane_row - 4 + i, 0, format_.height - 1);
    rows[static_cast<std::size_t>(i)] = ring_[static_cast<std::size_t>(at % kTaps)].data();
  }
  halve_rows(rows, width_, 21 - format_.bit_depth, mid_level(format_), samples_.data());
  store_plane_row(plane_, format_.bit_depth, plane_row, width_, samples_.data());
}

ChromaReader::ChromaReader(const Format& format, const ConstPlane& plane)
    : format_(format),
      plane_(plane),
      width_(subsampled(format.width, chroma_shift_x(format.chroma))),
      height_(subsampled(format.height, chroma_shift_y(format.chroma))),
      row_(width_),
      samples_(static_cast<std::size_t>(width_)),
      full_(static_cast<std::size_t>(width_) * 2) {}

void ChromaReader::load(int y) {
  load_plane_row(plane_, format_.bit_depth, y, width_, samples_.data());
  center_row(samples_.data(), width_, mid_level(format_), row_.data());
}

void ChromaReader::interpolate_vertically(int y) {
  if (format_.bit_depth == 8) {
    double_rows_8(seven_rows<std::uint8_t>(plane_, height_, y), width_, 8, row_.data());
  } else {
    double_rows_16(seven_rows<std::uint16_t>(plane_, height_, y), width_, format_.bit_depth,
                   row_.data());
  }
}

const std::int16_t* ChromaReader::row(int y) {
  if (chroma_shift_x(format_.chroma) == 0) {
    load(y);
    return row_.data();
  }
  int shift = 6;
  if (is_420(format_.chroma)) {
    interpolate_vertically(y);
    shift = 20 - format_.bit_depth;
  } else {
    load(y);
  }
  row_.extend();
  (is_mpeg2_sited(format_.chroma) ? double_cosited : double_pairs)(
      row_.data(), width_, shift, mid_level(format_), full_.data());
  return full_.data();
}

}  // namespace bpg
