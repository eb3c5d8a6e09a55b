#pragma once

#include <cstdint>
#include <cstring>

#include "simd.hpp"

namespace bpg {

// IEEE 754 binary16 as its bit pattern. Neither direction makes or reads a subnormal float, so the
// results hold under flush-to-zero as well. Branches are selects, so loops around them vectorise.

BPG_ALWAYS_INLINE std::uint32_t float_bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

BPG_ALWAYS_INLINE float float_from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Exact.
BPG_ALWAYS_INLINE float half_to_float(std::uint16_t half) {
  constexpr std::uint32_t kRebias = 112U << 23;  // exponent bias 15 to 127
  const std::uint32_t magnitude = half & 0x7fffU;
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t normal = (magnitude << 13) + kRebias;
  const std::uint32_t subnormal =
      float_bits(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24F);
  const std::uint32_t finite = magnitude < 0x0400U ? subnormal : normal;
  const std::uint32_t bits = magnitude >= 0x7c00U ? normal + kRebias : finite;
  return float_from_bits(bits | sign);
}

/// Rounds to nearest, ties to even; beyond the range gives infinity.
BPG_ALWAYS_INLINE std::uint16_t float_to_half(float value) {
  constexpr std::uint32_t kRebias = 112U << 23;
  constexpr std::uint32_t kInfinity = 0x7f800000U;
  const std::uint32_t bits = float_bits(value);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t normal = (magnitude - kRebias + 0x0fffU + ((magnitude >> 13) & 1U)) >> 13;
  // One unit of a half's subnormals is the last place of a float in [0.5, 1).
  const std::uint32_t subnormal = float_bits(float_from_bits(magnitude) + 0.5F) - float_bits(0.5F);
  const std::uint32_t overflow = magnitude > kInfinity ? 0x7e00U : 0x7c00U;
  const std::uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
  return static_cast<std::uint16_t>(sign | (magnitude >= 0x47800000U ? overflow : finite));
}

}  // namespace bpg
