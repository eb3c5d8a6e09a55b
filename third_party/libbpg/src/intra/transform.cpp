#include "intra/transform.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "intra/prediction.hpp"

namespace bpg::intra {
namespace {

constexpr int kMaxSize = 32;
constexpr int kFlatScale = 16;
constexpr int kLevelScale[6] = {40, 45, 51, 57, 64, 72};
constexpr int kFirstStageShift = 7;

// The first column of the 32-point matrix in 8.6.4.2. The matrix follows from it: its entry in row
// k, column n stands for cos((2n + 1) k pi / 64).
constexpr int kCosine[kMaxSize] = {64, 90, 90, 90, 89, 88, 87, 85, 83, 82, 80, 78, 75, 73, 70, 67,
                                   64, 61, 57, 54, 50, 46, 43, 38, 36, 31, 25, 22, 18, 13, 9,  4};

struct CosineMatrix {
  std::int8_t at[kMaxSize][kMaxSize] = {};

  constexpr CosineMatrix() {
    for (int k = 0; k < kMaxSize; ++k) {
      for (int n = 0; n < kMaxSize; ++n) {
        const int angle = (2 * n + 1) * k % 128;  // a full turn is 128
        const int half = angle > 64 ? 128 - angle : angle;
        const int value = half < 32 ? kCosine[half] : half == 32 ? 0 : -kCosine[64 - half];
        at[k][n] = static_cast<std::int8_t>(value);
      }
    }
  }
};
constexpr CosineMatrix kCosineMatrix;

constexpr std::int8_t kSineMatrix[4][4] = {
    {29, 55, 74, 84}, {74, 74, 0, -74}, {84, -29, -74, 55}, {55, -84, 74, -29}};

std::int32_t clip16(std::int64_t value) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(
      value, std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()));
}

std::size_t at(int x, int y, int log2) { return static_cast<std::size_t>(y << log2 | x); }

void scale(const Coefficients& in, int log2, int bit_depth, int qp, Residual& out) {
  const int shift = bit_depth + log2 - 5;
  const std::int64_t factor = std::int64_t{kFlatScale * kLevelScale[qp % 6]} << (qp / 6);
  const std::int64_t round = std::int64_t{1} << (shift - 1);
  for (std::size_t i = 0; i < std::size_t{1} << (2 * log2); ++i) {
    out[i] = in.level[i] == 0 ? 0 : clip16((in.level[i] * factor + round) >> shift);
  }
}

// One line of samples that are `stride` apart, by either matrix.
void transform_line(std::int32_t* line, int stride, int log2, bool sine, int shift) {
  const int size = 1 << log2;
  std::array<std::int32_t, kMaxSize> sums{};
  for (int k = 0; k < size; ++k) {
    const std::int32_t coefficient = line[k * stride];
    if (coefficient == 0) {
      continue;
    }
    const std::int8_t* row = sine ? kSineMatrix[k] : kCosineMatrix.at[k << (5 - log2)];
    for (int n = 0; n < size; ++n) {
      sums[static_cast<std::size_t>(n)] += coefficient * row[n];
    }
  }
  const std::int32_t round = 1 << (shift - 1);
  for (int n = 0; n < size; ++n) {
    line[n * stride] = (sums[static_cast<std::size_t>(n)] + round) >> shift;
  }
}

void inverse_transform(int log2, bool sine, int bit_depth, Residual& block) {
  const int size = 1 << log2;
  for (int x = 0; x < size; ++x) {
    transform_line(&block[at(x, 0, log2)], size, log2, sine, kFirstStageShift);
  }
  for (std::size_t i = 0; i < std::size_t{1} << (2 * log2); ++i) {
    block[i] = clip16(block[i]);
  }
  for (int y = 0; y < size; ++y) {
    transform_line(&block[at(0, y, log2)], 1, log2, sine, 20 - bit_depth);
  }
}

void rotate(Residual& block) { std::reverse(block.begin(), block.begin() + 16); }

void scale_skipped(int log2, int bit_depth, Residual& block) {
  const int shift = 20 - bit_depth;
  for (std::size_t i = 0; i < std::size_t{1} << (2 * log2); ++i) {
    block[i] = (block[i] * (1 << (5 + log2)) + (1 << (shift - 1))) >> shift;
  }
}

void accumulate(int log2, bool vertical, Residual& block) {
  const int size = 1 << log2;
  for (int y = vertical ? 1 : 0; y < size; ++y) {
    for (int x = vertical ? 0 : 1; x < size; ++x) {
      block[at(x, y, log2)] += block[vertical ? at(x, y - 1, log2) : at(x - 1, y, log2)];
    }
  }
}

}  // namespace

void reconstruct_residual(const Sequence& s, const ResidualBlock& block,
                          const Coefficients& coefficients, int qp, Residual& out) {
  if (block.lossless) {
    std::copy_n(coefficients.level.begin(), std::size_t{1} << (2 * block.log2), out.begin());
  } else {
    scale(coefficients, block.log2, s.bit_depth, qp, out);
  }
  const bool skipped = block.lossless || coefficients.transform_skip;
  if (!skipped) {
    inverse_transform(block.log2, block.plane == 0 && block.log2 == 2, s.bit_depth, out);
    return;
  }
  if (s.rotate_transform_skip && block.log2 == 2) {
    rotate(out);
  }
  if (!block.lossless) {
    scale_skipped(block.log2, s.bit_depth, out);
  }
  if (uses_implicit_rdpcm(s, block, coefficients.transform_skip)) {
    accumulate(block.log2, block.intra_mode == kVertical, out);
  }
}

}  // namespace bpg::intra
