#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "bpg/container.hpp"
#include "intra/parameters.hpp"

namespace bpg::intra {

/// Slice segment header of an I slice, ITU-T H.265 7.3.6.
struct Slice {
  std::uint32_t pps_id = 0;
  bool first_in_picture = false;
  bool dependent = false;
  int segment_address = 0;    ///< raster address of the segment's first coding tree block
  int address = 0;            ///< the same of the slice that the segment belongs to
  std::array<bool, 3> sao{};  ///< by plane
  int qp = 26;
  std::array<int, 3> qp_offset{};  ///< by plane, PPS offsets included
  bool chroma_qp_adjust = false;
  Deblocking deblocking;
  bool filter_across = false;
};

/// A slice NAL unit without emulation prevention, and where its slice data begins.
struct SliceUnit {
  Slice slice;
  std::vector<std::uint8_t> payload;
  std::size_t data_begin = 0;
};

/// The PPS that a slice NAL unit refers to. Throws DecodeError.
[[nodiscard]] std::uint32_t parse_slice_pps_id(const Nal& nal);

/// Reads a slice NAL unit; `previous` is the segment before it, whose fields a dependent segment
/// takes over, or null. Throws DecodeError for P and B slices.
[[nodiscard]] SliceUnit parse_slice(const Nal& nal, const Sequence& sequence,
                                    const PictureParameters& pps, const Slice* previous);

}  // namespace bpg::intra
