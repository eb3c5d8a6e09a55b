#pragma once

#include <array>
#include <cstdint>

#include "bpg/picture.hpp"

namespace bpg {

/// Fixed-point coefficients from RGB of 8 or 16 bits to the planes of a format.
/// plane = (sum of coefficients * samples + offset) >> shift; every sum fits 32 bits.
struct ToPlanes {
  using Row = std::array<std::int32_t, 3>;  ///< factors of R, G, B

  int shift = 0;
  Row luma{};
  Row chroma1{};  ///< Cb or Cg, before the mid-level is added
  Row chroma2{};  ///< Cr or Co
  std::int32_t luma_offset = 0;
  std::int32_t chroma_offset = 0;
  std::int32_t one =
      0;  ///< factor of a gray, R, G or B sample that stays itself; takes luma_offset
  std::int32_t alpha_one = 0;
  std::int32_t alpha_offset = 0;
  int mid = 0;  ///< mid-level of the planes, 2^(b-1)
  int max = 0;  ///< largest sample of the planes
};

/// `in_max` is 255 or 65535. A gray format gets the luma row of its colour space (BT.601 for rgb).
[[nodiscard]] ToPlanes to_planes(const Format& format, int in_max);

/// Fixed-point coefficients from the planes of a format to RGB of 8 or 16 bits.
/// colour = (Y * one + offset + c[0] * C1 + c[1] * C2) >> shift, where C1 and C2 are minus
/// mid-level. Each of the two halves of the sum fits 32 bits; in limited range the whole may not.
struct FromPlanes {
  using Pair = std::array<std::int32_t, 2>;

  int shift = 0;
  std::int32_t one = 0;
  std::int32_t offset = 0;
  Pair red{};
  Pair green{};
  Pair blue{};
  std::int32_t alpha_one = 0;
  std::int32_t alpha_offset = 0;
  int mid = 0;
  int max = 0;  ///< largest output value
};

/// `out_bits` is 8 or 16.
[[nodiscard]] FromPlanes from_planes(const Format& format, int out_bits);

}  // namespace bpg
