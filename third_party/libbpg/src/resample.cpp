#include "resample.hpp"

#include <algorithm>
#include <array>

#include "color_rows.hpp"
#include "sample_io.hpp"
#include "simd.hpp"

// The filters' taps sum to a power of two that no rounding shift exceeds by more than the mid-level
// holds, so removing the mid-level beforehand changes no result. It keeps 8-bit sums in 16 bits.

namespace bpg {
namespace {

using i16 = std::int16_t;
using u16 = std::uint16_t;

constexpr int kSplitBits = 7;
constexpr i16 kLowMask = (1 << kSplitBits) - 1;

/// A value that the compiler does not know. It would turn products with a literal into chains of
/// shifts and additions, which take longer than one vector multiplication.
BPG_ALWAYS_INLINE i16 opaque(i16 value) {
  const volatile i16 hidden = value;
  return hidden;
}

/// x * tap and other sums known to fit the type.
template <class Sum>
BPG_ALWAYS_INLINE Sum fit(int value) {
  return static_cast<Sum>(value);
}

/// (v + round) >> (kSplitBits + shift) of v = 128 * high + low, clamped to -mid .. mid-1. Rounding
/// in two steps down is rounding once.
struct Finish {
  Finish(int total_shift, int mid_level)
      : round(static_cast<i16>(1 << (total_shift - 1))),
        shift(total_shift - kSplitBits),
        lowest(static_cast<i16>(-mid_level)),
        highest(static_cast<i16>(mid_level - 1)) {}

  /// kShift: the shift where it is known when compiling, else -1.
  template <int kShift>
  [[nodiscard]] BPG_ALWAYS_INLINE i16 apply(i16 high, i16 low) const {
    const i16 carry = fit<i16>(fit<i16>(low + round) >> kSplitBits);
    const i16 sum = fit<i16>(high + carry);
    const i16 value = fit<i16>(sum >> (kShift < 0 ? shift : kShift));
    return std::clamp(value, lowest, highest);
  }

  i16 round;
  int shift;
  i16 lowest;
  i16 highest;
};

// ---- Half width ---------------------------------------------------------------------------------

BPG_SIMD_CLONES void take_apart(const i16* BPG_RESTRICT in, int pairs, i16* BPG_RESTRICT even,
                                i16* BPG_RESTRICT odd) {
  for (int i = 0; i < pairs; ++i) {
    even[i] = in[2 * i];
    odd[i] = in[2 * i + 1];
  }
}

/// (2, -4, -8, 17, 57, 57, 17, -8, -4, 2) over samples 2i-4 .. 2i+5.
template <class Sum>
BPG_ALWAYS_INLINE Sum pair_sum(const i16* even, const i16* odd, Sum tap17, Sum tap57) {
  const Sum a = fit<Sum>(even[-2] + odd[2]);
  const Sum b = fit<Sum>(odd[-2] + even[2]);
  const Sum c = fit<Sum>(even[-1] + odd[1]);
  const Sum d = fit<Sum>(odd[-1] + even[1]);
  const Sum e = fit<Sum>(even[0] + odd[0]);
  const Sum outer = fit<Sum>(2 * fit<Sum>(a - 2 * fit<Sum>(b + 2 * c)));
  return fit<Sum>(outer + fit<Sum>(d * tap17) + fit<Sum>(e * tap57));
}

/// 64 on sample 2i, 40, -11, 4 and -1 on those 1, 3, 5 and 7 to either side.
template <class Sum>
BPG_ALWAYS_INLINE Sum cosited_sum(const i16* even, const i16* odd, Sum tap40, Sum tap11) {
  const Sum a = fit<Sum>(odd[-1] + odd[0]);
  const Sum b = fit<Sum>(odd[-2] + odd[1]);
  const Sum c = fit<Sum>(odd[-3] + odd[2]);
  const Sum d = fit<Sum>(odd[-4] + odd[3]);
  const Sum inner = fit<Sum>(fit<Sum>(64 * even[0]) + fit<Sum>(a * tap40));
  return fit<Sum>(inner - fit<Sum>(b * tap11) + fit<Sum>(4 * c) - d);
}

/// kShift as in Finish::apply; the result is split, not clamped.
template <class Sum, bool kCosited, int kShift>
BPG_ALWAYS_INLINE void halve_width(const i16* BPG_RESTRICT even, const i16* BPG_RESTRICT odd,
                                   int count, int any_shift, i16* BPG_RESTRICT high,
                                   i16* BPG_RESTRICT low) {
  const Sum outer_tap = opaque(kCosited ? 11 : 17);
  const Sum inner_tap = opaque(kCosited ? 40 : 57);
  const int shift = kShift < 0 ? any_shift : kShift;
  const int round = 1 << (shift - 1);
  for (int i = 0; i < count; ++i) {
    const Sum sum = kCosited ? cosited_sum<Sum>(even + i, odd + i, inner_tap, outer_tap)
                             : pair_sum<Sum>(even + i, odd + i, outer_tap, inner_tap);
    const i16 value = fit<i16>(fit<Sum>(sum + round) >> shift);
    high[i] = fit<i16>(value >> kSplitBits);
    low[i] = fit<i16>(value & kLowMask);
  }
}

// 8 bits: at most 176 * 128 + 64, which fits 16 bits. The shift is 1 for 4:2:0 and 7 for 4:2:2.
BPG_SIMD_CLONES void halve_pairs_8(const i16* even, const i16* odd, int count, int shift, i16* high,
                                   i16* low) {
  if (shift == 1) {
    halve_width<i16, false, 1>(even, odd, count, 1, high, low);
  } else {
    halve_width<i16, false, 7>(even, odd, count, 7, high, low);
  }
}
BPG_SIMD_CLONES void halve_cosited_8(const i16* even, const i16* odd, int count, int shift,
                                     i16* high, i16* low) {
  if (shift == 1) {
    halve_width<i16, true, 1>(even, odd, count, 1, high, low);
  } else {
    halve_width<i16, true, 7>(even, odd, count, 7, high, low);
  }
}
BPG_SIMD_CLONES void halve_pairs(const i16* even, const i16* odd, int count, int shift, i16* high,
                                 i16* low) {
  halve_width<std::int32_t, false, -1>(even, odd, count, shift, high, low);
}
BPG_SIMD_CLONES void halve_cosited(const i16* even, const i16* odd, int count, int shift, i16* high,
                                   i16* low) {
  halve_width<std::int32_t, true, -1>(even, odd, count, shift, high, low);
}

BPG_SIMD_CLONES void clamp_split(const i16* BPG_RESTRICT high, const i16* BPG_RESTRICT low,
                                 int count, int mid, u16* BPG_RESTRICT out) {
  const i16 lowest = fit<i16>(-mid);
  const i16 highest = fit<i16>(mid - 1);
  for (int i = 0; i < count; ++i) {
    const i16 value = fit<i16>(fit<i16>(high[i] * (1 << kSplitBits)) + low[i]);
    out[i] = fit<u16>(std::clamp(value, lowest, highest) + mid);
  }
}

// ---- Half height --------------------------------------------------------------------------------

constexpr int kVerticalTaps = 10;
using TenRows = std::array<const i16*, kVerticalTaps>;

/// pair_sum's taps, down the rows.
BPG_ALWAYS_INLINE i16 column_sum(const TenRows& r, int i, i16 tap17, i16 tap57) {
  const i16 a = fit<i16>(r[0][i] + r[9][i]);
  const i16 b = fit<i16>(r[1][i] + r[8][i]);
  const i16 c = fit<i16>(r[2][i] + r[7][i]);
  const i16 d = fit<i16>(r[3][i] + r[6][i]);
  const i16 e = fit<i16>(r[4][i] + r[5][i]);
  const i16 outer = fit<i16>(2 * fit<i16>(a - 2 * fit<i16>(b + 2 * c)));
  return fit<i16>(outer + fit<i16>(d * tap17) + fit<i16>(e * tap57));
}

template <int kShift>
BPG_ALWAYS_INLINE void halve_height(const TenRows& high_rows, const TenRows& low_rows, int count,
                                    const Finish& any, u16* BPG_RESTRICT out) {
  const TenRows high = high_rows;
  const TenRows low = low_rows;
  const Finish finish = any;
  const i16 tap17 = opaque(17);
  const i16 tap57 = opaque(57);
  const i16 mid = fit<i16>(-finish.lowest);
  for (int i = 0; i < count; ++i) {
    const i16 h = column_sum(high, i, tap17, tap57);
    const i16 l = column_sum(low, i, tap17, tap57);
    out[i] = fit<u16>(finish.apply<kShift>(h, l) + mid);
  }
}

BPG_SIMD_CLONES void halve_height_row(const TenRows& high, const TenRows& low, int count,
                                      const Finish& finish, u16* out) {
  switch (finish.shift) {
    case 6:
      return halve_height<6>(high, low, count, finish, out);
    case 4:
      return halve_height<4>(high, low, count, finish, out);
    case 2:
      return halve_height<2>(high, low, count, finish, out);
    default:
      return halve_height<-1>(high, low, count, finish, out);
  }
}

// ---- Double -------------------------------------------------------------------------------------
//
// Of samples s[-3] .. s[3] the odd output weighs (-1, 4, -10, 57, 18, -6, 2) and the even one the
// same backwards. Their sum is even in the distance and their difference odd, so with
//   common = 114 s[0] + 8 (s[-1] + s[1]) - 2 (s[-2] + s[2]) + (s[-3] + s[3])
//   skew = 28 (s[-1] - s[1]) - 10 (s[-2] - s[2]) + 3 (s[-3] - s[3])
// twice the outputs are common + skew (even) and common - skew (odd).

struct DoubleTaps {
  i16 tap114;
  i16 tap28;
  i16 tap10;
  i16 tap3;
};

/// Not the initialisers of the members: clang leaves out a constructor that only clones call.
BPG_ALWAYS_INLINE DoubleTaps double_taps() {
  return {opaque(114), opaque(28), opaque(10), opaque(3)};
}

template <class Sum>
struct Doubled {
  Sum common;
  Sum skew;
};

template <class Sum>
BPG_ALWAYS_INLINE Doubled<Sum> doubled(const DoubleTaps& taps, i16 s0, i16 s1, i16 s2, i16 s3,
                                       i16 s4, i16 s5, i16 s6) {
  const Sum near_sum = fit<Sum>(8 * fit<Sum>(s2 + s4));
  const Sum middle_sum = fit<Sum>(2 * fit<Sum>(s1 + s5));
  const Sum far_sum = fit<Sum>(s0 + s6);
  const Sum near_skew = fit<Sum>(fit<Sum>(s2 - s4) * taps.tap28);
  const Sum middle_skew = fit<Sum>(fit<Sum>(s1 - s5) * taps.tap10);
  const Sum far_skew = fit<Sum>(fit<Sum>(s0 - s6) * taps.tap3);
  return {fit<Sum>(fit<Sum>(s3 * taps.tap114) + near_sum - middle_sum + far_sum),
          fit<Sum>(near_skew - middle_skew + far_skew)};
}

/// Seven stored rows about one, as they lie in the plane.
template <class Sample>
using SevenRows = std::array<const Sample*, 7>;

/// Twice the sums are at most 196 * 128 at 8 bits, which fits 16 bits.
template <class Sum, int kShift, class Sample>
BPG_ALWAYS_INLINE void double_height(const SevenRows<Sample>& rows, int count, int bit_depth,
                                     i16* BPG_RESTRICT even_high, i16* BPG_RESTRICT even_low,
                                     i16* BPG_RESTRICT odd_high, i16* BPG_RESTRICT odd_low) {
  const SevenRows<Sample> r = rows;
  const DoubleTaps taps = double_taps();
  const i16 mid = fit<i16>(1 << (bit_depth - 1));
  const int shift = kShift < 0 ? bit_depth - 7 : kShift;
  const int round = 1 << (bit_depth - 8);
  for (int i = 0; i < count; ++i) {
    const Doubled<Sum> sums =
        doubled<Sum>(taps, fit<i16>(r[0][i] - mid), fit<i16>(r[1][i] - mid),
                     fit<i16>(r[2][i] - mid), fit<i16>(r[3][i] - mid), fit<i16>(r[4][i] - mid),
                     fit<i16>(r[5][i] - mid), fit<i16>(r[6][i] - mid));
    const i16 even = fit<i16>(fit<Sum>(sums.common + sums.skew + round) >> shift);
    const i16 odd = fit<i16>(fit<Sum>(sums.common - sums.skew + round) >> shift);
    even_high[i] = fit<i16>(even >> kSplitBits);
    even_low[i] = fit<i16>(even & kLowMask);
    odd_high[i] = fit<i16>(odd >> kSplitBits);
    odd_low[i] = fit<i16>(odd & kLowMask);
  }
}

BPG_SIMD_CLONES void double_height_8(const SevenRows<std::uint8_t>& rows, int count, int,
                                     i16* even_high, i16* even_low, i16* odd_high, i16* odd_low) {
  double_height<i16, 1>(rows, count, 8, even_high, even_low, odd_high, odd_low);
}
BPG_SIMD_CLONES void double_height_16(const SevenRows<u16>& rows, int count, int bit_depth,
                                      i16* even_high, i16* even_low, i16* odd_high, i16* odd_low) {
  double_height<std::int32_t, -1>(rows, count, bit_depth, even_high, even_low, odd_high, odd_low);
}

template <class Sample>
SevenRows<Sample> seven_rows(const ConstPlane& plane, int height, int middle) {
  SevenRows<Sample> rows{};
  int y = middle - 3;
  for (const Sample*& row : rows) {
    row = reinterpret_cast<const Sample*>(plane.data + std::clamp(y, 0, height - 1) * plane.stride);
    ++y;
  }
  return rows;
}

BPG_SIMD_CLONES void split(const i16* BPG_RESTRICT in, int count, i16* BPG_RESTRICT high,
                           i16* BPG_RESTRICT low) {
  for (int i = 0; i < count; ++i) {
    high[i] = fit<i16>(in[i] >> kSplitBits);
    low[i] = fit<i16>(in[i] & kLowMask);
  }
}

template <int kShift>
BPG_ALWAYS_INLINE void double_pairs(const i16* BPG_RESTRICT high, const i16* BPG_RESTRICT low,
                                    int count, const Finish& any, i16* BPG_RESTRICT out) {
  const DoubleTaps taps = double_taps();
  const Finish finish = any;
  for (int i = 0; i < count; ++i) {
    const i16* h = high + i;
    const i16* l = low + i;
    const Doubled<i16> upper = doubled<i16>(taps, h[-3], h[-2], h[-1], h[0], h[1], h[2], h[3]);
    const Doubled<i16> lower = doubled<i16>(taps, l[-3], l[-2], l[-1], l[0], l[1], l[2], l[3]);
    out[2 * i] = finish.apply<kShift>(fit<i16>(upper.common + upper.skew),
                                      fit<i16>(lower.common + lower.skew));
    out[2 * i + 1] = finish.apply<kShift>(fit<i16>(upper.common - upper.skew),
                                          fit<i16>(lower.common - lower.skew));
  }
}

/// Twice (-1, 4, -11, 40, 40, -11, 4, -1) over s[-3] .. s[4].
BPG_ALWAYS_INLINE i16 between_sum(const i16* s, i16 tap80, i16 tap22) {
  const i16 a = fit<i16>(s[0] + s[1]);
  const i16 b = fit<i16>(s[-1] + s[2]);
  const i16 c = fit<i16>(s[-2] + s[3]);
  const i16 d = fit<i16>(s[-3] + s[4]);
  return fit<i16>(fit<i16>(a * tap80) - fit<i16>(b * tap22) + fit<i16>(8 * c) - fit<i16>(2 * d));
}

/// Even outputs lie on stored samples and only lose the `excess` bits of the vertical filter.
template <int kShift>
BPG_ALWAYS_INLINE void double_cosited(const i16* BPG_RESTRICT high, const i16* BPG_RESTRICT low,
                                      int count, const Finish& any, i16* BPG_RESTRICT out) {
  const i16 tap80 = opaque(80);
  const i16 tap22 = opaque(22);
  const Finish finish = any;
  const int excess = kShift < 0 ? finish.shift : kShift;
  const i16 round = fit<i16>((1 << excess) >> 1);
  for (int i = 0; i < count; ++i) {
    const i16 value = fit<i16>(fit<i16>(high[i] * (1 << kSplitBits)) + low[i]);
    const i16 copied = fit<i16>(fit<i16>(value + round) >> excess);
    out[2 * i] = std::clamp(copied, finish.lowest, finish.highest);
    out[2 * i + 1] = finish.apply<kShift>(between_sum(high + i, tap80, tap22),
                                          between_sum(low + i, tap80, tap22));
  }
}

BPG_SIMD_CLONES void double_pairs_row(const i16* high, const i16* low, int count,
                                      const Finish& finish, i16* out) {
  switch (finish.shift) {
    case 6:
      return double_pairs<6>(high, low, count, finish, out);
    case 4:
      return double_pairs<4>(high, low, count, finish, out);
    case 2:
      return double_pairs<2>(high, low, count, finish, out);
    case 0:
      return double_pairs<0>(high, low, count, finish, out);
    default:
      return double_pairs<-1>(high, low, count, finish, out);
  }
}
BPG_SIMD_CLONES void double_cosited_row(const i16* high, const i16* low, int count,
                                        const Finish& finish, i16* out) {
  switch (finish.shift) {
    case 6:
      return double_cosited<6>(high, low, count, finish, out);
    case 4:
      return double_cosited<4>(high, low, count, finish, out);
    case 2:
      return double_cosited<2>(high, low, count, finish, out);
    case 0:
      return double_cosited<0>(high, low, count, finish, out);
    default:
      return double_cosited<-1>(high, low, count, finish, out);
  }
}

int mid_level(const Format& format) { return 1 << (format.bit_depth - 1); }

}  // namespace

void PaddedRow::extend() {
  i16* row = data();
  std::fill(row - kPad, row, row[0]);
  std::fill(row + width_, row + width_ + kPad, row[width_ - 1]);
}

// ---- ChromaWriter -------------------------------------------------------------------------------

ChromaWriter::ChromaWriter(const Format& format, const Plane& plane)
    : format_(format),
      plane_(plane),
      width_(subsampled(format.width, chroma_shift_x(format.chroma))),
      row_(format.width),
      samples_(static_cast<std::size_t>(width_)) {
  if (chroma_shift_x(format.chroma) != 0) {
    even_ = PaddedRow(width_);
    odd_ = PaddedRow(width_);
    ring_.assign(is_420(format.chroma) ? kVerticalTaps : 1, SplitRow(width_));
  }
}

void ChromaWriter::push() {
  const int y = rows_in_++;
  if (chroma_shift_x(format_.chroma) == 0) {
    uncenter_row(row_.data(), width_, mid_level(format_), samples_.data());
    store(y);
    return;
  }
  if (is_422(format_.chroma)) {
    SplitRow& half = ring_[0];
    halve_width(7, half);
    clamp_split(half.high.data(), half.low.data(), width_, mid_level(format_), samples_.data());
    store(y);
    return;
  }
  halve_width(format_.bit_depth - 7, ring_[static_cast<std::size_t>(y % kVerticalTaps)]);
  const bool last = rows_in_ == format_.height;
  while (2 * rows_out_ + 5 <= y || (last && 2 * rows_out_ < format_.height)) {
    halve_height(rows_out_);
    store(rows_out_++);
  }
}

void ChromaWriter::halve_width(int shift, SplitRow& out) {
  constexpr int kReach = PaddedRow::kPad / 2;
  row_.extend();
  take_apart(row_.data() - PaddedRow::kPad, width_ + 2 * kReach - format_.width % 2,
             even_.data() - kReach, odd_.data() - kReach);
  const bool narrow = format_.bit_depth == 8;
  const bool cosited = is_mpeg2_sited(format_.chroma);
  const auto kernel = narrow ? (cosited ? halve_cosited_8 : halve_pairs_8)
                             : (cosited ? halve_cosited : halve_pairs);
  kernel(even_.data(), odd_.data(), width_, shift, out.high.data(), out.low.data());
}

void ChromaWriter::halve_height(int plane_row) {
  TenRows high{};
  TenRows low{};
  for (int i = 0; i < kVerticalTaps; ++i) {
    const int y = std::clamp(2 * plane_row - 4 + i, 0, format_.height - 1);
    SplitRow& row = ring_[static_cast<std::size_t>(y % kVerticalTaps)];
    high[static_cast<std::size_t>(i)] = row.high.data();
    low[static_cast<std::size_t>(i)] = row.low.data();
  }
  const Finish finish(21 - format_.bit_depth, mid_level(format_));
  halve_height_row(high, low, width_, finish, samples_.data());
}

void ChromaWriter::store(int plane_row) {
  store_plane_row(plane_, format_.bit_depth, plane_row, width_, samples_.data());
}

// ---- ChromaReader -------------------------------------------------------------------------------

ChromaReader::ChromaReader(const Format& format, const ConstPlane& plane)
    : format_(format),
      plane_(plane),
      width_(subsampled(format.width, chroma_shift_x(format.chroma))),
      height_(subsampled(format.height, chroma_shift_y(format.chroma))),
      samples_(static_cast<std::size_t>(width_)),
      full_(static_cast<std::size_t>(width_) * 2) {
  if (chroma_shift_x(format.chroma) != 0) {
    even_ = SplitRow(width_);
    odd_ = SplitRow(width_);
  }
}

const i16* ChromaReader::row(int y) {
  if (is_420(format_.chroma)) {
    if (doubled_row_ != y / 2) {
      double_height(y / 2);
    }
    double_width((y & 1) != 0 ? odd_ : even_, 21 - format_.bit_depth);
  } else {
    load_plane_row(plane_, format_.bit_depth, y, width_, samples_.data());
    center_row(samples_.data(), width_, mid_level(format_), full_.data());
    if (is_422(format_.chroma)) {
      split(full_.data(), width_, even_.high.data(), even_.low.data());
      even_.extend();
      double_width(even_, kSplitBits);
    }
  }
  return full_.data();
}

void ChromaReader::double_height(int plane_row) {
  const auto run = [&](auto kernel, const auto& rows) {
    kernel(rows, width_, format_.bit_depth, even_.high.data(), even_.low.data(), odd_.high.data(),
           odd_.low.data());
  };
  if (format_.bit_depth == 8) {
    run(double_height_8, seven_rows<std::uint8_t>(plane_, height_, plane_row));
  } else {
    run(double_height_16, seven_rows<u16>(plane_, height_, plane_row));
  }
  even_.extend();
  odd_.extend();
  doubled_row_ = plane_row;
}

void ChromaReader::double_width(SplitRow& in, int shift) {
  const Finish finish(shift, mid_level(format_));
  const auto kernel = is_mpeg2_sited(format_.chroma) ? double_cosited_row : double_pairs_row;
  kernel(in.high.data(), in.low.data(), width_, finish, full_.data());
}

}  // namespace bpg
