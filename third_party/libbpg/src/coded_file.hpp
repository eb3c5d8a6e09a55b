#pragma once

#include <vector>

#include "bpg/container.hpp"
#include "bpg/decoder.hpp"

namespace bpg {

/// NAL units of one picture, by stream.
struct AccessUnit {
  std::vector<Nal> color;
  std::vector<Nal> alpha;
};

/// A file and the pictures in it that are to be decoded: all of an animation, the first of a still.
/// Its extensions are left out of the header. Spans point into the bytes that were parsed.
struct CodedFile {
  ParsedFile parsed;
  std::vector<AccessUnit> units;  ///< at least one
};

/// Parses a file and checks all that can be known without decoding: limits, what libavcodec can do,
/// and whether the data can hold what the header claims. Throws DecodeError or UnsupportedError.
[[nodiscard]] CodedFile open_file(ByteSpan file, const DecodeLimits& limits);

}  // namespace bpg
