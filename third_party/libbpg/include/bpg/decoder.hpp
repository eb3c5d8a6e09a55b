#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/picture.hpp"

namespace bpg {

/// What a file says about itself; nothing is decoded to learn it.
struct FileInfo {
  FileHeader header;
  /// How long each frame is shown, in frame periods. Its size is the number of frames: 1 for a
  /// still.
  std::vector<std::uint32_t> ticks;
  /// Whether the blocks of the colour planes may have QPs of their own (qp_map.hpp); they need not
  /// make use of it.
  bool block_qps = false;
};

/// Reads header, extensions and frame count. Throws DecodeError.
[[nodiscard]] FileInfo probe(ByteSpan file, Extensions extensions = Extensions::copied);

struct DecodeLimits {
  /// Largest number of pixels of one frame, and of all frames of an animation together.
  std::uint64_t max_pixels = 0;
};

/// Called for every frame in order; the view lives until it returns.
using FrameCallback = std::function<void(const PictureView& picture, std::size_t index)>;

/// Decodes all frames of an animation, the first picture of a still. Keeps no memory from one call
/// to the next. Throws DecodeError for a damaged file or one above the limits, UnsupportedError for
/// 11, 13 and 14 bits.
void decode(ByteSpan file, const DecodeLimits& limits, const FrameCallback& on_frame);

/// Version of libavcodec.
[[nodiscard]] std::string libavcodec_version();

}  // namespace bpg
