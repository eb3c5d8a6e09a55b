// The encoder with any options and sizes: refused with EncodeError or UnsupportedError, or a file
// that parses to what was asked for. Stills and animations, one encoder for several pictures.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
#include "bytes.hpp"
#include "drawn_image.hpp"
#include "drawn_map.hpp"
#include "require.hpp"

namespace {

using bpg_fuzz::Bytes;
using bpg_fuzz::DrawnImage;
using bpg_fuzz::DrawnMap;

struct Request {
  int width = 0;
  int height = 0;
  int channels = 3;
  bool has_alpha = false;
  bpg::EncodeOptions options;
};

// Most values are allowed, some are just outside.
Request draw_request(Bytes& bytes) {
  Request r;
  r.width = bytes.between(0, 130);
  r.height = bytes.between(0, 130);
  r.channels = bytes.between(0, 9) < 8 ? 3 + bytes.between(0, 1) : bytes.between(0, 6);
  r.has_alpha = bytes.flag();
  r.options.chroma = static_cast<bpg::Chroma>(bytes.between(0, 5));
  r.options.color_space = static_cast<bpg::ColorSpace>(bytes.between(0, 4));
  r.options.bit_depth = bytes.flag() ? 8 : bytes.between(6, 17);
  r.options.limited_range = bytes.flag();
  r.options.lossless = bytes.flag();
  r.options.premultiplied = bytes.flag();
  r.options.effort = bytes.between(-1, 10);
  r.options.tune = bytes.flag() ? bpg::Tune::machine : bpg::Tune::ssim;
  r.options.qp_maps = bytes.flag();
  return r;
}

bpg::PictureQp draw_qp(Bytes& bytes) { return {bytes.between(-1, 52), bytes.between(-1, 52)}; }

// Mostly one where one is expected and as large as it should be.
std::optional<DrawnMap> draw_map(Bytes& bytes, const Request& r) {
  if (bytes.between(0, 9) == 0 ? r.options.qp_maps : !r.options.qp_maps) {
    return std::nullopt;
  }
  const int width = bpg::qp_map_size(r.width) + (bytes.between(0, 9) == 0 ? 1 : 0);
  const int height = bpg::qp_map_size(r.height) + (bytes.between(0, 9) == 0 ? 1 : 0);
  return DrawnMap(bytes, width, height, bytes.between(0, 3) == 0);
}

std::optional<bpg::QpMapView> view_of(const std::optional<DrawnMap>& map) {
  return map ? std::optional<bpg::QpMapView>(map->view()) : std::nullopt;
}

std::vector<bpg::Extension> draw_extensions(Bytes& bytes) {
  std::vector<bpg::Extension> extensions(static_cast<std::size_t>(bytes.between(0, 2)));
  for (bpg::Extension& extension : extensions) {
    extension.tag = static_cast<std::uint32_t>(bytes.between(0, 60000)) * bytes.byte();
    extension.data = bytes.take(static_cast<std::size_t>(bytes.between(0, 300)));
  }
  return extensions;
}

void check_file(const std::vector<std::uint8_t>& file, const bpg::Format& format,
                std::size_t frames, const std::vector<bpg::Extension>& extensions) {
  const bpg::FileInfo info = bpg::probe({file.data(), file.size()});
  FUZZ_REQUIRE(info.header.format == format);
  FUZZ_REQUIRE(info.ticks.size() == frames);
  FUZZ_REQUIRE(info.header.extensions.size() >= extensions.size());
  for (std::size_t i = 0; i < extensions.size(); ++i) {
    FUZZ_REQUIRE(info.header.extensions[i].tag == extensions[i].tag);
    FUZZ_REQUIRE(info.header.extensions[i].data == extensions[i].data);
  }
}

// A refused picture leaves the encoder usable; bytes do not depend on what came before.
void encode_stills(const Request& r, Bytes& bytes) {
  bpg::Encoder encoder(r.width, r.height, r.has_alpha, r.options);
  for (int i = bytes.between(1, 3); i > 0; --i) {
    const std::optional<DrawnMap> map = draw_map(bytes, r);  // before the image takes many bytes
    const DrawnImage image(bytes, r.width, r.height, r.channels);
    const bpg::PictureQp qp = draw_qp(bytes);
    const std::vector<bpg::Extension> extensions = draw_extensions(bytes);
    try {
      const std::vector<std::uint8_t> file =
          encoder.encode(image.view(), qp, extensions, view_of(map)).file;
      check_file(file, encoder.format(), 1, extensions);
      FUZZ_REQUIRE(encoder.encode(image.view(), qp, extensions, view_of(map)).file == file);
    } catch (const bpg::EncodeError&) {
      continue;
    }
  }
}

void encode_animation(const Request& r, Bytes& bytes) {
  bpg::AnimationEncoder encoder(r.width, r.height, r.has_alpha, r.options);
  const int frames = bytes.between(0, 4);
  for (int i = 0; i < frames; ++i) {
    const std::optional<DrawnMap> map = draw_map(bytes, r);
    const DrawnImage image(bytes, r.width, r.height, r.channels);
    const bpg::PictureQp qp = draw_qp(bytes);
    const auto ticks = static_cast<std::uint16_t>(bytes.between(0, 3));
    encoder.add(image.view(), qp, ticks, view_of(map));
  }
  const bpg::AnimationControl control{bytes.byte(), bytes.byte(), bytes.byte()};
  const std::vector<bpg::Extension> extensions = draw_extensions(bytes);
  const std::vector<std::uint8_t> file = encoder.finish(control, extensions);
  const bpg::FileInfo info = bpg::probe({file.data(), file.size()});
  FUZZ_REQUIRE(info.header.animation);
  FUZZ_REQUIRE(info.ticks.size() == static_cast<std::size_t>(frames));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const bool animation = bytes.between(0, 9) == 0;
  const Request request = draw_request(bytes);
  try {
    if (animation) {
      encode_animation(request, bytes);
    } else {
      encode_stills(request, bytes);
    }
  } catch (const bpg::EncodeError&) {
    return 0;
  } catch (const bpg::UnsupportedError&) {
    return 0;
  }
  return 0;
}
