// The oracle: what the encoder says it reconstructed is what both decoders get from the file.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "bytes.hpp"
#include "drawn_image.hpp"
#include "drawn_map.hpp"
#include "hevc_syntax.hpp"
#include "intra/intra_decoder.hpp"
#include "require.hpp"

namespace {

using bpg_fuzz::Bytes;
using bpg_fuzz::DrawnImage;

constexpr bpg::DecodeLimits kLimits{1U << 20};

struct Request {
  int width = 1;
  int height = 1;
  bool has_alpha = false;
  bpg::EncodeOptions options;
};

Request draw_request(Bytes& bytes) {
  Request r;
  r.width = bytes.between(1, 140);
  r.height = bytes.between(1, 140);
  r.has_alpha = bytes.between(0, 3) == 0;
  r.options.chroma = static_cast<bpg::Chroma>(bytes.between(0, 5));
  if (r.options.chroma != bpg::Chroma::gray) {
    r.options.color_space = static_cast<bpg::ColorSpace>(bytes.between(0, 4));
  }
  r.options.bit_depth = 8 + 2 * bytes.between(0, 2);
  r.options.limited_range = bytes.flag();
  r.options.lossless = bytes.between(0, 3) == 0;
  r.options.premultiplied = bytes.flag();
  r.options.effort = bytes.between(bpg::kMinEffort, bpg::kMaxEffort);
  r.options.tune = bytes.flag() ? bpg::Tune::machine : bpg::Tune::ssim;
  r.options.qp_maps = !r.options.lossless && bytes.flag();
  return r;
}

// Rows of one plane, without what lies between them.
std::vector<std::byte> samples(const bpg::PictureView& picture, std::size_t index) {
  const bpg::Format& f = picture.format;
  const bool chroma = index == 1 || index == 2;
  const int width = bpg::subsampled(f.width, chroma ? bpg::chroma_shift_x(f.chroma) : 0);
  const int height = bpg::subsampled(f.height, chroma ? bpg::chroma_shift_y(f.chroma) : 0);
  const auto row = static_cast<std::size_t>(width) * (f.bit_depth > 8 ? 2 : 1);
  std::vector<std::byte> out(row * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) {
    std::memcpy(out.data() + row * static_cast<std::size_t>(y),
                picture.planes[index].data + picture.planes[index].stride * y, row);
  }
  return out;
}

using Planes = std::vector<std::vector<std::byte>>;

Planes all_planes(const bpg::PictureView& picture) {
  Planes planes;
  for (std::size_t i = 0; i < picture.planes.size(); ++i) {
    if (picture.planes[i].data != nullptr) {
      planes.push_back(samples(picture, i));
    }
  }
  return planes;
}

Planes decoded(bpg::ByteSpan file) {
  Planes planes;
  bpg::decode(file, kLimits, [&planes](const bpg::PictureView& picture, std::size_t) {
    planes = all_planes(picture);
  });
  return planes;
}

// The colour planes by the intra decoder, whichever decoder the file would get.
Planes intra_decoded(bpg::ByteSpan bytes) {
  const bpg::ParsedFile file = bpg::parse_file(bytes);
  std::vector<bpg::Nal> nals;
  for (const bpg::Nal& nal : bpg::split_nals(file.hevc_data)) {
    if (nal.layer == 0) {
      nals.push_back(nal);
    }
  }
  const bpg::Format& f = file.header.format;
  const bpg::Picture picture = bpg::decode_intra_picture(
      {f.width, f.height, bpg::hevc_chroma_idc(f.chroma), f.bit_depth, file.color}, nals);
  return all_planes(picture.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const Request r = draw_request(bytes);
  bpg::Encoder encoder(r.width, r.height, r.has_alpha, r.options);
  // Before the image, which takes many bytes.
  std::optional<bpg_fuzz::DrawnMap> map;
  if (r.options.qp_maps) {
    map.emplace(bytes, bpg::qp_map_size(r.width), bpg::qp_map_size(r.height), false);
  }
  const DrawnImage image(bytes, r.width, r.height, bytes.flag() ? 4 : 3);
  const bpg::PictureQp qp{bytes.between(bpg::kMinQp, bpg::kMaxQp), bytes.between(0, bpg::kMaxQp)};
  const bpg::Encoded encoded = encoder.encode(
      image.view(), qp, {}, map ? std::optional<bpg::QpMapView>(map->view()) : std::nullopt);
  const bpg::ByteSpan file{encoded.file.data(), encoded.file.size()};
  const Planes expected = all_planes(encoded.reconstruction);
  FUZZ_REQUIRE(decoded(file) == expected);
  const Planes again = intra_decoded(file);
  for (std::size_t i = 0; i < again.size(); ++i) {
    FUZZ_REQUIRE(again[i] == expected[i]);
  }
  const bpg::QpMap read = bpg::decode_qp_map(file, kLimits);
  FUZZ_REQUIRE(read.width == bpg::qp_map_size(r.width));
  FUZZ_REQUIRE(read.height == bpg::qp_map_size(r.height));
  return 0;
}
