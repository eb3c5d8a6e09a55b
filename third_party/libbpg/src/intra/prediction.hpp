#pragma once

#include <cstdint>

#include "intra/frame.hpp"
#include "intra/parameters.hpp"

namespace bpg::intra {

inline constexpr int kPlanar = 0;
inline constexpr int kDc = 1;
inline constexpr int kHorizontal = 10;
inline constexpr int kVertical = 26;
inline constexpr int kLastMode = 34;

/// A square block of one plane; x and y count that plane's samples.
struct Block {
  int plane;
  int x;
  int y;
  int log2;
};

/// Predicts a block from its decoded neighbours in `region`, ITU-T H.265 8.4.4.2.
/// `boundary_filter` is false for blocks of which the standard's disableIntraBoundaryFilter is
/// true.
void predict_intra(const Sequence& sequence, Frame& frame, std::uint32_t region, const Block& block,
                   int mode, bool boundary_filter);

}  // namespace bpg::intra
