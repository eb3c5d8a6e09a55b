#pragma once

#include <vector>

#include "bpg/container.hpp"
#include "bpg/picture.hpp"
#include "hevc_decoder.hpp"

namespace bpg {

/// Whether libavcodec would decode these NAL units of a picture wrongly: implicit RDPCM together
/// with lossless blocks, for which it leaves ITU-T H.265's disableIntraBoundaryFilter out.
/// Throws DecodeError for a damaged PPS.
[[nodiscard]] bool needs_intra_decoder(const HevcHeader& header, const std::vector<Nal>& nals);

/// Decodes one picture of I slices; slower than libavcodec, but exact for all that a BPG still can
/// hold. The picture has its one or three planes and the format's size. Memory is in proportion to
/// the format's size, which the caller bounds. Throws DecodeError.
[[nodiscard]] Picture decode_intra_picture(const StreamFormat& format,
                                           const std::vector<Nal>& nals);

}  // namespace bpg
