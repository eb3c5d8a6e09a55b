#include "bpg/qp_map.hpp"

#include <string>

#include "bpg/error.hpp"
#include "coded_file.hpp"
#include "intra/intra_decoder.hpp"

namespace bpg {

QpMap decode_qp_map(ByteSpan file, const DecodeLimits& limits, int block) {
  if (block != 8 && block != 16 && block != 32 && block != 64) {
    throw DecodeError("the side of a block must be 8, 16, 32 or 64, not " + std::to_string(block));
  }
  const CodedFile coded = open_file(file, limits);
  const ParsedFile& parsed = coded.parsed;
  if (parsed.header.animation) {
    throw UnsupportedError(
        "the file is an animation; the QPs of its blocks can be read from stills");
  }
  const Format& f = parsed.header.format;
  return decode_intra_qps({f.width, f.height, hevc_chroma_idc(f.chroma), f.bit_depth, parsed.color},
                          coded.units.front().color, block);
}

}  // namespace bpg
