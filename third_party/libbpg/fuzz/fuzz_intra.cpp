// Our own intra decoder on every file, also on those that bpg::decode would give to libavcodec, and
// the QPs that are read by it.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/error.hpp"
#include "bpg/options.hpp"
#include "bpg/qp_map.hpp"
#include "hevc_syntax.hpp"
#include "intra/intra_decoder.hpp"
#include "require.hpp"

namespace {

constexpr int kMaxPixels = 1 << 16;

// NAL units of the first picture of one layer.
std::vector<bpg::Nal> first_picture(const std::vector<bpg::Nal>& nals, int layer) {
  std::vector<bpg::Nal> picture;
  bool begun = false;
  for (const bpg::Nal& nal : nals) {
    if (nal.layer != layer) {
      continue;
    }
    const bool starts = bpg::is_slice(nal.type) && bpg::starts_picture(nal);
    if (starts && begun) {
      break;
    }
    begun = begun || starts;
    picture.push_back(nal);
  }
  return picture;
}

void decode_layer(const bpg::ParsedFile& file, int layer) {
  const bpg::Format& f = file.header.format;
  const int idc = layer == 0 ? bpg::hevc_chroma_idc(f.chroma) : 0;
  const bpg::HevcHeader& header = layer == 0 ? file.color : file.alpha;
  const bpg::StreamFormat format{f.width, f.height, idc, f.bit_depth, header};
  const bpg::Picture picture =
      bpg::decode_intra_picture(format, first_picture(bpg::split_nals(file.hevc_data), layer));
  FUZZ_REQUIRE(picture.format().width == f.width && picture.format().height == f.height);
}

// Refuses a little more than the decoder above: animations, and headers that claim too much.
void read_qps(bpg::ByteSpan bytes, const bpg::Format& f) {
  const int block = 8 << bytes.size % 4;
  bpg::QpMap map;
  try {
    map = bpg::decode_qp_map(bytes, {kMaxPixels}, block);
  } catch (const bpg::DecodeError&) {
    return;
  } catch (const bpg::UnsupportedError&) {
    return;
  }
  FUZZ_REQUIRE(map.width == bpg::qp_map_size(f.width, block));
  FUZZ_REQUIRE(map.height == bpg::qp_map_size(f.height, block));
  const int lowest = -6 * (f.bit_depth - 8);
  for (const std::int8_t qp : map.qps) {
    FUZZ_REQUIRE(qp >= lowest && qp <= bpg::kMaxQp);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const bpg::ParsedFile file = bpg::parse_file({data, size});
    const bpg::Format& f = file.header.format;
    if (f.width > kMaxPixels / f.height) {
      return 0;
    }
    read_qps({data, size}, f);
    decode_layer(file, 0);
    if (f.alpha != bpg::Alpha::none) {
      decode_layer(file, 1);
    }
  } catch (const bpg::DecodeError&) {
    return 0;
  } catch (const bpg::UnsupportedError&) {
    return 0;
  }
  return 0;
}
