// Maps of QP offsets: decoders follow the encoder, blocks get the QP that was asked for, and it can
// be read back.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
#include "bpg/qp_map.hpp"
#include "check.hpp"
#include "coded.hpp"
#include "intra/intra_decoder.hpp"

namespace {

using bpg_test::decoded;
using bpg_test::exported;
using bpg_test::kLimits;
using bpg_test::span;
using bpg_test::TestImage;
using bpg_test::throws;
using Bytes = std::vector<std::uint8_t>;

// A map and its offsets.
struct TestMap {
  int width;
  int height;
  std::vector<float> offsets;

  TestMap(int picture_width, int picture_height, float offset)
      : width(bpg::qp_map_size(picture_width)),
        height(bpg::qp_map_size(picture_height)),
        offsets(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), offset) {}
  [[nodiscard]] bpg::QpMapView view() const { return {offsets.data(), width, height}; }
};

TestMap drawn_map(int picture_width, int picture_height, float largest, unsigned seed) {
  TestMap map(picture_width, picture_height, 0);
  std::minstd_rand random(seed + 1);
  std::uniform_real_distribution<float> offset(-largest, largest);
  std::generate(map.offsets.begin(), map.offsets.end(), [&] { return offset(random); });
  return map;
}

// Smooth noise of several sizes, weaker where it is finer, as photos have it.
TestImage photo_like(int width, int height) {
  TestImage image(width, height, 3, 0);
  std::minstd_rand random(7);
  std::uniform_real_distribution<double> level(-1, 1);
  std::vector<double> values(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int cell = 64; cell >= 2; cell /= 2) {
    const int across = width / cell + 2;
    std::vector<double> corners(static_cast<std::size_t>(across * (height / cell + 2)));
    const double strength = 9 * std::sqrt(cell);
    std::generate(corners.begin(), corners.end(), [&] { return strength * level(random); });
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const double u = x % cell / double(cell);
        const double v = y % cell / double(cell);
        const double* top = &corners[static_cast<std::size_t>(y / cell * across + x / cell)];
        const double* bottom = top + across;
        values[static_cast<std::size_t>(y * width + x)] +=
            ((1 - v) * ((1 - u) * top[0] + u * top[1]) + v * ((1 - u) * bottom[0] + u * bottom[1]));
      }
    }
  }
  for (std::size_t i = 0; i < image.samples.size(); ++i) {
    const double value = 128 + values[i / 3] * (i % 3 == 1 ? 1.0 : 0.8);
    image.samples[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
  }
  return image;
}

// Rows of one plane, without what lies between them.
Bytes samples(const bpg::PictureView& picture, std::size_t index) {
  const bpg::Format& f = picture.format;
  const bool chroma = index == 1 || index == 2;
  const int width = bpg::subsampled(f.width, chroma ? bpg::chroma_shift_x(f.chroma) : 0);
  const int height = bpg::subsampled(f.height, chroma ? bpg::chroma_shift_y(f.chroma) : 0);
  const auto row = static_cast<std::size_t>(width) * (f.bit_depth > 8 ? 2 : 1);
  Bytes out(row * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) {
    std::memcpy(out.data() + row * static_cast<std::size_t>(y),
                picture.planes[index].data + picture.planes[index].stride * y, row);
  }
  return out;
}

std::vector<Bytes> all_planes(const bpg::PictureView& picture) {
  std::vector<Bytes> planes;
  for (std::size_t i = 0; i < picture.planes.size(); ++i) {
    if (picture.planes[i].data != nullptr) {
      planes.push_back(samples(picture, i));
    }
  }
  return planes;
}

// The colour planes by the intra decoder, whichever decoder the file would get.
std::vector<Bytes> by_intra_decoder(const Bytes& bytes) {
  const bpg::ParsedFile file = bpg::parse_file(span(bytes));
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

// Encodes with a map and checks that both decoders get the encoder's reconstruction.
void check_decoders(const TestImage& image, const bpg::EncodeOptions& options, int qp,
                    const TestMap& map) {
  bpg::Encoder encoder(image.width, image.height, image.channels == 4, options);
  const bpg::Encoded encoded = encoder.encode(image.view(), {qp, 20}, {}, map.view());
  const std::vector<Bytes> expected = all_planes(encoded.reconstruction);
  std::vector<Bytes> planes;
  bpg::decode(span(encoded.file), kLimits,
              [&](const bpg::PictureView& p, std::size_t) { planes = all_planes(p); });
  const std::vector<Bytes> again = by_intra_decoder(encoded.file);
  const bool same = planes == expected && std::equal(again.begin(), again.end(), expected.begin());
  if (!same) {
    std::printf("%dx%d, effort %d, chroma %d, %d bits, x265 '%s'\n", image.width, image.height,
                options.effort, static_cast<int>(options.chroma), options.bit_depth,
                options.x265.c_str());
  }
  CHECK(same);
}

bpg::EncodeOptions options_of(int effort, bpg::Tune tune = bpg::Tune::ssim) {
  bpg::EncodeOptions options;
  options.effort = effort;
  options.tune = tune;
  options.qp_maps = true;
  return options;
}

void decoders_get_the_reconstruction() {
  const int sizes[][2] = {{1, 1},   {2, 3},    {17, 33}, {61, 43}, {64, 64},
                          {8, 130}, {100, 72}, {16, 16}, {33, 9}};
  const bpg::Chroma chromas[] = {bpg::Chroma::gray, bpg::Chroma::c420, bpg::Chroma::c422,
                                 bpg::Chroma::c444};
  unsigned seed = 0;
  for (int effort = bpg::kMinEffort; effort <= bpg::kMaxEffort; ++effort) {
    for (const bpg::Tune tune : {bpg::Tune::ssim, bpg::Tune::machine}) {
      for (const bpg::Chroma chroma : chromas) {
        for (const int depth : {8, 10, 12}) {
          for (int i = 0; i < 2; ++i) {
            const auto& size = sizes[seed++ % std::size(sizes)];
            bpg::EncodeOptions options = options_of(effort, tune);
            options.chroma = chroma;
            options.bit_depth = depth;
            const TestImage image(size[0], size[1], seed % 3 == 0 ? 4 : 3, seed);
            check_decoders(image, options, static_cast<int>(seed * 7 % 52),
                           drawn_map(size[0], size[1], seed % 4 == 0 ? 60.0F : 8.0F, seed));
          }
        }
      }
    }
  }
}

// Private options of x265 cannot take the map away, and go on working beside it.
void x265_options_work_beside_a_map() {
  const TestImage image(100, 72, 3, 3);
  const TestMap map = drawn_map(100, 72, 12, 5);
  for (const char* list :
       {"min-cu-size=32:ctu=64", "min-cu-size=32:ctu=32", "min-cu-size=8:ctu=16", "qg-size=64",
        "qg-size=8", "aq-mode=3:aq-strength=2", "hevc-aq=1", "cutree=1", "aq-motion=1",
        "vbv-maxrate=100:vbv-bufsize=100", "crf=40", "qp=40"}) {
    bpg::EncodeOptions options = options_of(8);
    options.x265 = list;
    check_decoders(image, options, 30, map);
  }
  bpg::EncodeOptions plain = options_of(4);
  const Bytes expected =
      bpg::Encoder(100, 72, false, plain).encode(image.view(), {30, 30}, {}, map.view()).file;
  for (const char* list : {"aq-mode=3:aq-strength=2", "hevc-aq=1", "cutree=1", "qg-size=32",
                           "vbv-maxrate=100:vbv-bufsize=100", "crf=40"}) {
    bpg::EncodeOptions options = plain;
    options.x265 = list;
    CHECK(
        bpg::Encoder(100, 72, false, options).encode(image.view(), {30, 30}, {}, map.view()).file ==
        expected);
  }
}

// Noise, so that every block has coefficients at any QP in use.
TestImage noise(int width, int height) {
  TestImage image(width, height, 3, 0);
  std::minstd_rand random(11);
  for (std::uint8_t& sample : image.samples) {
    sample = static_cast<std::uint8_t>(random() >> 8);
  }
  return image;
}

bpg::QpMap read_map(const Bytes& file, int block = bpg::kQpMapBlock,
                    const bpg::DecodeLimits& limits = kLimits) {
  return bpg::decode_qp_map(span(file), limits, block);
}

void blocks_have_the_qp_that_was_asked_for() {
  const int slice_qp = bpg::intra_slice_qp(30);
  const TestImage image = noise(71, 50);
  // Efforts whose coding tree blocks are 16x16, so that no coding block covers several offsets.
  for (const int effort : {0, 1, 2, 3, 4}) {
    for (const int depth : {8, 12}) {
      bpg::EncodeOptions options = options_of(effort);
      options.bit_depth = depth;
      bpg::Encoder encoder(71, 50, false, options);
      const TestMap map = drawn_map(71, 50, 6, static_cast<unsigned>(effort));
      const bpg::QpMap read = read_map(encoder.encode(image.view(), {30, 30}, {}, map.view()).file);
      CHECK(read.width == 5 && read.height == 4 && read.qps.size() == map.offsets.size());
      for (std::size_t i = 0; i < map.offsets.size(); ++i) {
        CHECK(read.qps[i] == slice_qp + static_cast<int>(std::nearbyint(map.offsets[i])));
      }
    }
  }
}

void offsets_are_rounded_and_clipped() {
  const float inputs[] = {0.5F,  1.5F,  2.5F,    -0.5F,  -1.5F, -2.5F, 0.4999F,
                          0.51F, -3.7F, 1000.0F, -1e30F, 3e38F, -0.0F, 1e-30F};
  const int outputs[] = {0, 2, 2, 0, -2, -2, 0, 1, -4, 99, -99, 99, 0, 0};
  constexpr int kCount = std::size(inputs);
  const TestImage image = noise(16 * kCount, 16);
  TestMap map(16 * kCount, 16, 0);
  std::copy(std::begin(inputs), std::end(inputs), map.offsets.begin());
  bpg::Encoder encoder(16 * kCount, 16, false, options_of(1));
  const bpg::QpMap read = read_map(encoder.encode(image.view(), {30, 30}, {}, map.view()).file);
  for (std::size_t i = 0; i < kCount; ++i) {
    CHECK(read.qps[i] == std::clamp(bpg::intra_slice_qp(30) + outputs[i], 0, 51));
  }
}

// A coding block of 32x32 covers four offsets, here -4, -4, 8 and 8: its QP is their mean.
void large_blocks_have_the_mean() {
  const TestImage image = photo_like(32, 32);
  TestMap map(32, 32, -4);
  std::fill(map.offsets.begin() + 2, map.offsets.end(), 8.0F);
  bpg::EncodeOptions options = options_of(8);
  options.x265 = "ctu=32:min-cu-size=32";
  bpg::Encoder encoder(32, 32, false, options);
  const Bytes file = encoder.encode(image.view(), {25, 25}, {}, map.view()).file;
  for (const int block : {8, 16, 32, 64}) {
    const bpg::QpMap read = read_map(file, block);
    const int across = bpg::qp_map_size(32, block);
    CHECK(read.width == across && read.height == across);
    CHECK(read.qps ==
          std::vector<std::int8_t>(static_cast<std::size_t>(across * across),
                                   static_cast<std::int8_t>(bpg::intra_slice_qp(25) + 2)));
  }
}

std::size_t size_of(const TestImage& image, bpg::EncodeOptions options, int qp,
                    const std::optional<float>& offset) {
  options.qp_maps = offset.has_value();
  bpg::Encoder encoder(image.width, image.height, false, options);
  if (!offset) {
    return encoder.encode(image.view(), {qp, qp}, {}).file.size();
  }
  const TestMap map(image.width, image.height, *offset);
  return encoder.encode(image.view(), {qp, qp}, {}, map.view()).file.size();
}

// Each size within 1 %, all together within .5 %: x265 decides a little differently where a QP is
// coded for every block.
void a_uniform_map_costs_what_a_shifted_qp_does() {
  const TestImage image = photo_like(512, 384);
  for (const int effort : {1, 4, 5, 8}) {
    double all_mapped = 0;
    double all_shifted = 0;
    for (const float offset : {0.0F, -6.0F, -3.0F, 3.0F, 6.0F}) {
      const auto mapped = static_cast<double>(size_of(image, options_of(effort), 30, offset));
      const auto shifted = static_cast<double>(
          size_of(image, options_of(effort), 30 + static_cast<int>(offset), std::nullopt));
      CHECK(std::abs(mapped / shifted - 1) < 0.01);
      all_mapped += mapped;
      all_shifted += shifted;
    }
    CHECK(std::abs(all_mapped / all_shifted - 1) < 0.005);
  }
}

void no_map_is_a_map_of_zeros() {
  const TestImage image(61, 43, 3, 1);
  bpg::Encoder encoder(61, 43, false, options_of(5));
  const Bytes zeros = encoder.encode(image.view(), {30, 30}, {}, TestMap(61, 43, 0).view()).file;
  CHECK(encoder.encode(image.view(), {30, 30}, {}).file == zeros);
  CHECK(bpg::Encoder(61, 43, false, options_of(5)).encode(image.view(), {30, 30}, {}).file ==
        zeros);
}

void bytes_do_not_depend_on_the_past() {
  const TestImage a(96, 80, 3, 1);
  const TestImage b(96, 80, 3, 99);
  const TestMap map = drawn_map(96, 80, 6, 4);
  for (const int effort : {3, 8}) {
    bpg::Encoder fresh(96, 80, false, options_of(effort));
    const Bytes expected = fresh.encode(a.view(), {30, 30}, {}, map.view()).file;
    bpg::Encoder used(96, 80, false, options_of(effort));
    for (int i = 0; i < 20; ++i) {
      const TestMap other = drawn_map(96, 80, 20, static_cast<unsigned>(i));
      used.encode(b.view(), {i * 2, 30}, {}, other.view());
      CHECK(used.encode(a.view(), {30, 30}, {}, map.view()).file == expected);
    }
  }
}

void alpha_keeps_its_qp() {
  const TestImage image(61, 43, 4, 2);
  bpg::EncodeOptions options = options_of(5);
  bpg::Encoder mapped(61, 43, true, options);
  options.qp_maps = false;
  bpg::Encoder plain(61, 43, true, options);
  const TestMap map = drawn_map(61, 43, 10, 1);
  const bpg::PictureView with =
      mapped.encode(image.view(), {30, 25}, {}, map.view()).reconstruction;
  const bpg::PictureView without = plain.encode(image.view(), {30, 25}, {}).reconstruction;
  CHECK(samples(with, bpg::kAlphaPlane) == samples(without, bpg::kAlphaPlane));
  CHECK(samples(with, 0) != samples(without, 0));
}

void animations_round_trip() {
  for (int effort = bpg::kMinEffort; effort <= bpg::kMaxEffort; ++effort) {
    for (const int channels : {3, 4}) {
      bpg::EncodeOptions options =
          options_of(effort, channels == 4 ? bpg::Tune::machine : bpg::Tune::ssim);
      options.chroma = effort % 2 == 0 ? bpg::Chroma::c420 : bpg::Chroma::c444;
      options.bit_depth = effort % 3 == 0 ? 10 : 8;
      bpg::AnimationEncoder encoder(75, 52, channels == 4, options);
      std::vector<Bytes> expected;
      for (unsigned i = 0; i < 6; ++i) {
        const TestImage frame(75, 52, channels, i / 2);
        const TestMap map = drawn_map(75, 52, i == 4 ? 60.0F : 6.0F, i);
        const std::optional<bpg::QpMapView> view =
            i == 3 ? std::nullopt : std::optional<bpg::QpMapView>(map.view());
        expected.push_back(
            exported(encoder.add(frame.view(), {30, 25}, 1, view).reconstruction, channels));
      }
      const Bytes file = encoder.finish({}, {});
      CHECK(decoded(file, channels) == expected);
      CHECK(bpg::probe(span(file)).block_qps);
      CHECK(throws<bpg::UnsupportedError>([&] { read_map(file); }));
    }
  }
}

void files_say_whether_blocks_may_differ() {
  const TestImage image(40, 24, 3, 1);
  bpg::EncodeOptions options = options_of(4);
  const Bytes with = bpg::Encoder(40, 24, false, options).encode(image.view(), {30, 30}, {}).file;
  options.qp_maps = false;
  const Bytes without =
      bpg::Encoder(40, 24, false, options).encode(image.view(), {30, 30}, {}).file;
  CHECK(bpg::probe(span(with)).block_qps);
  CHECK(!bpg::probe(span(without)).block_qps);
  const bpg::QpMap read = read_map(without, 8);
  CHECK(read.width == 5 && read.height == 3);
  CHECK(read.qps ==
        std::vector<std::int8_t>(15, static_cast<std::int8_t>(bpg::intra_slice_qp(30))));
}

void wrong_maps_are_refused() {
  const TestImage image(40, 24, 3, 1);
  bpg::EncodeOptions options = options_of(1);
  bpg::Encoder encoder(40, 24, false, options);
  const auto refused = [&](const TestMap& map) {
    return throws<bpg::EncodeError>([&] {
      encoder.encode(image.view(), {30, 30}, {}, map.view());
    });
  };
  CHECK(refused(TestMap(24, 40, 0)));
  CHECK(refused(TestMap(56, 24, 0)));
  CHECK(refused(TestMap(40, 16, 0)));
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    TestMap map(40, 24, 0);
    map.offsets.back() = bad;
    CHECK(refused(map));
  }
  CHECK(throws<bpg::EncodeError>([&] {
    encoder.encode(image.view(), {30, 30}, {}, bpg::QpMapView{nullptr, 3, 2});
  }));
  CHECK(!refused(TestMap(40, 24, 0)));  // an encoder survives bad maps
  options.lossless = true;
  CHECK(throws<bpg::EncodeError>([&] { bpg::Encoder(40, 24, false, options); }));
  CHECK(throws<bpg::EncodeError>([&] { bpg::AnimationEncoder(40, 24, false, options); }));
  const TestMap map(40, 24, 1);
  bpg::Encoder plain(40, 24, false, {});
  CHECK(throws<bpg::EncodeError>([&] { plain.encode(image.view(), {30, 30}, {}, map.view()); }));
}

void damaged_files_are_refused() {
  const TestImage image(96, 80, 4, 1);
  bpg::Encoder encoder(96, 80, true, options_of(4));
  const Bytes file =
      encoder.encode(image.view(), {35, 35}, {}, drawn_map(96, 80, 8, 3).view()).file;
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    // The alpha plane's slice comes first, so that a file without its last byte lacks colour.
    CHECK(throws<bpg::DecodeError>([&] { read_map(cut); }));
  }
  CHECK(throws<bpg::DecodeError>([&] { read_map(file, 16, {96 * 80 - 1}); }));
  for (const int block : {0, -8, 4, 24, 128}) {
    CHECK(throws<bpg::DecodeError>([&] { read_map(file, block); }));
  }
}

}  // namespace

int main() {
  decoders_get_the_reconstruction();
  x265_options_work_beside_a_map();
  blocks_have_the_qp_that_was_asked_for();
  offsets_are_rounded_and_clipped();
  large_blocks_have_the_mean();
  a_uniform_map_costs_what_a_shifted_qp_does();
  no_map_is_a_map_of_zeros();
  bytes_do_not_depend_on_the_past();
  alpha_keeps_its_qp();
  animations_round_trip();
  files_say_whether_blocks_may_differ();
  wrong_maps_are_refused();
  damaged_files_are_refused();
  return bpg_test::report();
}
