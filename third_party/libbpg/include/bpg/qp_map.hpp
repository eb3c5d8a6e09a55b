#pragma once

#include <cstdint>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/decoder.hpp"

namespace bpg {

/// Side of the square of luma samples that one offset of a map is for.
inline constexpr int kQpMapBlock = 16;

/// Blocks of a map along a picture's side; the last one may stick out.
[[nodiscard]] constexpr int qp_map_size(int side, int block = kQpMapBlock) {
  return (side - 1) / block + 1;
}

/// How far the quantiser of each 16x16 block of a picture's colour planes lies from the picture's
/// own, in QP units. Rows follow each other without gaps, in somebody else's memory: one offset
/// for each block, qp_map_size(picture width) of them in qp_map_size(picture height) rows.
///
/// An offset is rounded to a whole QP, halves to the even one, and the sum with the picture's slice
/// QP is clipped to 0..51, at every bit depth. A coding block of the encoder that is larger than
/// 16x16 gets the mean of the QPs that it covers. The alpha plane keeps its own QP throughout.
struct QpMapView {
  const float* offsets = nullptr;
  int width = 0;   ///< blocks in a row
  int height = 0;  ///< rows
};

/// The QPs of a decoded picture's blocks, in raster order.
struct QpMap {
  int width = 0;   ///< blocks in a row
  int height = 0;  ///< rows
  std::vector<std::int8_t> qps;
};

/// Reads from a still how each block of its colour planes was quantised: ITU-T H.265's QpY, the
/// scale of intra_slice_qp(), negative values only above 8 bits.
///
/// HEVC has one QpY for a coding block, which is at least 8x8: with `block` 8 nothing is left out.
/// With 16, 32 or 64 a block gets the QP of its last coding block in coding order. What has no
/// coefficients was not quantised and carries no QP: it has the one that is predicted from its
/// surroundings. In a file of this library's encoder the last coding block of a 16x16 block has the
/// QP that was asked for, unless it and all before it in that block are without coefficients.
///
/// Throws DecodeError for a damaged file, one above the limits or another `block`, UnsupportedError
/// for an animation and for 11, 13 and 14 bits.
[[nodiscard]] QpMap decode_qp_map(ByteSpan file, const DecodeLimits& limits,
                                  int block = kQpMapBlock);

}  // namespace bpg
