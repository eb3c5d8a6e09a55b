#include "alpha.hpp"

#include "simd.hpp"

namespace bpg {
namespace {

/// Bits of a level; a division by 2^bits - 1 needs no division.
constexpr int bits_of(int max) { return max == 255 ? 8 : 16; }

/// Divides by alpha. Alpha is often the same from one pixel to the next, so the last reciprocal is
/// kept.
class Reciprocal {
 public:
  explicit Reciprocal(std::uint32_t max)
      : max_(max),
        shift_(max == 255 ? 16 : 15),
        extra_(max == 255 ? 128U : 0U),
        round_(1U << (shift_ - 1)) {}

  std::uint16_t divide(std::uint32_t color, std::uint32_t alpha) {
    if (color >= alpha) {
      return static_cast<std::uint16_t>(max_);
    }
    if (alpha != alpha_) {
      alpha_ = alpha;
      inverse_ = ((max_ << shift_) + alpha / 2 + extra_) / alpha;
    }
    return static_cast<std::uint16_t>((color * inverse_ + round_) >> shift_);
  }

 private:
  std::uint32_t max_;
  int shift_;
  std::uint32_t extra_;
  std::uint32_t round_;
  std::uint32_t alpha_ = 0;
  std::uint32_t inverse_ = 0;
};

}  // namespace

BPG_SIMD_CLONES void premultiply_row(std::uint16_t* BPG_RESTRICT color,
                                     const std::uint16_t* BPG_RESTRICT alpha, int count, int max) {
  const int bits = bits_of(max);
  const std::uint32_t half = 1U << (bits - 1);
  for (int i = 0; i < count; ++i) {
    const std::uint32_t product = static_cast<std::uint32_t>(color[i]) * alpha[i] + half;
    color[i] = static_cast<std::uint16_t>((product + (product >> bits)) >> bits);
  }
}

void divide_row(std::uint16_t* color, const std::uint16_t* alpha, int count, int max) {
  Reciprocal reciprocal(static_cast<std::uint32_t>(max));
  for (int i = 0; i < count; ++i) {
    color[i] = reciprocal.divide(color[i], alpha[i]);
  }
}

BPG_SIMD_CLONES void apply_w_row(std::uint16_t* BPG_RESTRICT color,
                                 const std::uint16_t* BPG_RESTRICT w, int count, int bit_depth) {
  const std::uint32_t half = 1U << (bit_depth - 1);
  for (int i = 0; i < count; ++i) {
    color[i] = static_cast<std::uint16_t>((static_cast<std::uint32_t>(color[i]) * w[i] + half) >>
                                          bit_depth);
  }
}

}  // namespace bpg
