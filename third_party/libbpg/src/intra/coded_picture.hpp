#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "intra/frame.hpp"
#include "intra/parameters.hpp"
#include "intra/slice.hpp"

namespace bpg::intra {

/// Sample adaptive offset of one plane of a coding tree block.
struct SaoPlane {
  enum Type : std::uint8_t { kOff, kBand, kEdge };
  Type type = kOff;
  std::uint8_t band = 0;        ///< first of four bands
  std::uint8_t edge_class = 0;  ///< 0 horizontal, 1 vertical, 2 and 3 the diagonals
  std::array<std::int16_t, 4> offset{};
};
using SaoBlock = std::array<SaoPlane, 3>;

/// A picture and all that its in-loop filters need to know.
struct CodedPicture {
  CodedPicture(const Sequence& sequence_in, PictureParameters pps_in)
      : sequence(sequence_in),
        pps(std::move(pps_in)),
        tiling(pps, sequence),
        frame(sequence),
        slice_of(static_cast<std::size_t>(sequence.ctbs())),
        sao(static_cast<std::size_t>(sequence.ctbs())) {}

  const Sequence sequence;
  const PictureParameters pps;
  const Tiling tiling;
  Frame frame;
  std::vector<Slice> slices;
  std::vector<std::size_t> slice_of;  ///< index into slices, by raster address
  std::vector<SaoBlock> sao;          ///< by raster address

  /// Raster address of the coding tree block of a luma sample in the picture.
  [[nodiscard]] std::size_t ctb_at(int x, int y) const {
    return static_cast<std::size_t>((y >> sequence.ctb) * sequence.ctbs_across() +
                                    (x >> sequence.ctb));
  }
  [[nodiscard]] const Slice& slice_at(std::size_t ctb) const { return slices[slice_of[ctb]]; }
};

/// Chroma QP that belongs to luma QP plus offset, ITU-T H.265 table 8-10.
[[nodiscard]] int chroma_qp(int chroma_idc, int qp);

}  // namespace bpg::intra
