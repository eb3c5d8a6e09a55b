#pragma once

#include <array>
#include <cstdint>

#include "intra/parameters.hpp"
#include "intra/residual.hpp"

namespace bpg::intra {

/// Residual samples of a block, row by row.
using Residual = std::array<std::int32_t, kMaxBlockSamples>;

/// Turns coefficient levels into residual samples: scaling with `qp` (the standard's qP, offset for
/// the bit depth included), inverse transform, transform skip, lossless coding and implicit RDPCM,
/// ITU-T H.265 8.6.2 to 8.6.6.
void reconstruct_residual(const Sequence& sequence, const ResidualBlock& block,
                          const Coefficients& coefficients, int qp, Residual& out);

}  // namespace bpg::intra
