#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hevc_decoder.hpp"

namespace bpg_test {

/// An intra picture that no encoder would make: every syntax element of it is random.
struct GeneratedPicture {
  bpg::StreamFormat format;
  std::vector<std::vector<std::uint8_t>> nals;  ///< PPS, then slice segments, without start codes
  std::string description;
};

/// The picture of a seed, with tools that x265 does not use: PCM, tiles, wavefronts, dependent
/// slice segments, cross-component prediction, lists of chroma QP offsets, the range extensions.
GeneratedPicture generate_intra_picture(unsigned seed);

}  // namespace bpg_test
