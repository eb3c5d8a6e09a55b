// Our own intra decoder on every file, also on those that bpg::decode would give to libavcodec.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/error.hpp"
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const bpg::ParsedFile file = bpg::parse_file({data, size});
    const bpg::Format& f = file.header.format;
    if (f.width > kMaxPixels / f.height) {
      return 0;
    }
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
