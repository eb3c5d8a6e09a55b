#pragma once

#include <array>
#include <cstdint>

#include "intra/cabac.hpp"
#include "intra/contexts.hpp"
#include "intra/parameters.hpp"

namespace bpg::intra {

inline constexpr int kMaxBlockSamples = 32 * 32;

/// What the coefficients of a block depend on.
struct ResidualBlock {
  int plane;
  int log2;
  int intra_mode;  ///< of this plane
  bool lossless;   ///< cu_transquant_bypass_flag
};

struct Coefficients {
  std::array<std::int32_t, kMaxBlockSamples> level;  ///< 16-bit values, row by row
  bool transform_skip;
};

/// Whether residual samples of a block are coded as differences, 7.4.9.11.
[[nodiscard]] bool uses_implicit_rdpcm(const Sequence& sequence, const ResidualBlock& block,
                                       bool transform_skip);

/// Reads residual_coding() of ITU-T H.265 7.3.8.11. Throws DecodeError for a level that does not
/// fit in 16 bits.
void read_residual(CabacReader& cabac, ContextSet& contexts, const Sequence& sequence,
                   const PictureParameters& pps, const ResidualBlock& block, Coefficients& out);

}  // namespace bpg::intra
