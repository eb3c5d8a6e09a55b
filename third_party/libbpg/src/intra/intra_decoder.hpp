#pragma once

#include <vector>

#include "bpg/container.hpp"
#include "bpg/picture.hpp"
#include "bpg/qp_map.hpp"
#include "hevc_decoder.hpp"

namespace bpg {

/// Whether libavcodec (59 at least) may decode a still of this format wrongly. Found by comparing
/// the two decoders (tests/test_intra.cpp): range extension tools in lossless blocks (intra
/// boundary filters with implicit RDPCM, residual rotation), PCM in gray pictures and beside SAO,
/// chroma SAO where a 16x16 coding tree block is subsampled, and edges near black to white at 12
/// bits (deblocking overflows 16 bits in its vector code). What the parameter sets of a picture say
/// comes on top of that: lossless blocks among blocks of different QPs.
[[nodiscard]] bool needs_intra_decoder(const StreamFormat& format);

/// Decodes one picture of I slices; slower than libavcodec, but exact for all that a BPG still can
/// hold. The picture has its one or three planes and the format's size. Memory is in proportion to
/// the format's size, which the caller bounds. Throws DecodeError.
[[nodiscard]] Picture decode_intra_picture(const StreamFormat& format,
                                           const std::vector<Nal>& nals);

/// The QPs of such a picture by blocks of `block` samples, a power of 2 from 8 to 64. Memory as
/// above. Throws DecodeError.
[[nodiscard]] QpMap decode_intra_qps(const StreamFormat& format, const std::vector<Nal>& nals,
                                     int block);

}  // namespace bpg
