// Encoder and decoder: what the encoder says it reconstructed is what the decoder gets.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
#include "check.hpp"
#include "coded.hpp"

namespace {

using bpg_test::decoded;
using bpg_test::exported;
using bpg_test::kLimits;
using bpg_test::span;
using bpg_test::TestImage;
using bpg_test::throws;

void reconstruction_is_what_a_decoder_gets() {
  const int sizes[][2] = {{1, 1}, {2, 3}, {17, 33}, {61, 43}, {64, 64}, {5, 130}, {100, 72}};
  for (const auto& size : sizes) {
    for (int chroma = 0; chroma < 6; ++chroma) {
      for (const int depth : {8, 10, 12}) {
        for (const int channels : {3, 4}) {
          bpg::EncodeOptions options;
          options.chroma = static_cast<bpg::Chroma>(chroma);
          options.bit_depth = depth;
          options.effort = 1;
          options.limited_range = depth == 10;
          options.premultiplied = chroma == 3;
          bpg::Encoder encoder(size[0], size[1], channels == 4, options);
          const TestImage image(size[0], size[1], channels, static_cast<unsigned>(chroma));
          const bpg::Encoded encoded = encoder.encode(image.view(), {30, 20}, {});
          const auto frames = decoded(encoded.file, channels);
          CHECK(frames.size() == 1 && frames[0] == exported(encoded.reconstruction, channels));
        }
      }
    }
  }
}

void lossless_rgb_is_exact() {
  bpg::EncodeOptions options;
  options.chroma = bpg::Chroma::c444;
  options.color_space = bpg::ColorSpace::rgb;
  options.lossless = true;
  for (const int channels : {3, 4}) {
    const TestImage image(61, 43, channels, 5);
    bpg::Encoder encoder(61, 43, channels == 4, options);
    const auto frames = decoded(encoder.encode(image.view(), {}, {}).file, channels);
    CHECK(frames.size() == 1 && frames[0] == image.samples);
  }
}

void bytes_do_not_depend_on_the_past() {
  bpg::EncodeOptions options;
  options.effort = 3;
  const TestImage a(96, 80, 3, 1);
  const TestImage b(96, 80, 3, 99);
  bpg::Encoder fresh(96, 80, false, options);
  const std::vector<std::uint8_t> expected = fresh.encode(a.view(), {30, 30}, {}).file;
  bpg::Encoder used(96, 80, false, options);
  for (int i = 0; i < 40; ++i) {
    used.encode(b.view(), {i, 30}, {});
    CHECK(used.encode(a.view(), {30, 30}, {}).file == expected);
  }
}

void animations_round_trip() {
  for (const int channels : {3, 4}) {
    bpg::EncodeOptions options;
    options.effort = 2;
    bpg::AnimationEncoder encoder(96, 64, channels == 4, options);
    std::vector<std::vector<std::uint8_t>> expected;
    for (unsigned i = 0; i < 5; ++i) {
      const TestImage frame(96, 64, channels, i / 2);
      const auto ticks = static_cast<std::uint16_t>(i + 1);
      expected.push_back(
          exported(encoder.add(frame.view(), {30, 25}, ticks).reconstruction, channels));
    }
    const std::vector<std::uint8_t> file = encoder.finish({3, 1, 10}, {{2, {1, 2, 3}}});
    const bpg::FileInfo info = bpg::probe(span(file));
    CHECK((info.ticks == std::vector<std::uint32_t>{1, 2, 3, 4, 5}));
    CHECK(info.header.animation_control.loop_count == 3);
    CHECK(info.header.extensions.size() == 2);
    CHECK(decoded(file, channels) == expected);
  }
}

void slice_qp_follows_bpgenc() {
  CHECK(bpg::intra_slice_qp(34) == 31);
  CHECK(bpg::intra_slice_qp(29) == 26);
  CHECK(bpg::intra_slice_qp(0) == 0);
  CHECK(bpg::intra_slice_qp(3) == 0);
  CHECK(bpg::intra_slice_qp(51) == 48);
}

void cost_grows_with_size_and_detail() {
  TestImage flat(64, 64, 3, 1);
  std::fill(flat.samples.begin(), flat.samples.end(), std::uint8_t{90});
  const TestImage detailed(64, 64, 3, 1);
  const TestImage larger(128, 64, 3, 1);
  CHECK(bpg::encoding_cost(flat.view()) > 0);
  CHECK(bpg::encoding_cost(flat.view()) < bpg::encoding_cost(detailed.view()));
  CHECK(bpg::encoding_cost(detailed.view()) < bpg::encoding_cost(larger.view()));
  CHECK(bpg::encoding_cost(TestImage(1, 1, 1, 1).view()) > 0);
}

void wrong_options_are_refused() {
  const auto open = [](int width, const bpg::EncodeOptions& options) {
    bpg::Encoder(width, 8, false, options);
  };
  bpg::EncodeOptions options;
  CHECK(throws<bpg::EncodeError>([&] { open(0, options); }));
  options.effort = 10;
  CHECK(throws<bpg::EncodeError>([&] { open(8, options); }));
  options.effort = 0;
  options.bit_depth = 11;
  CHECK(throws<bpg::UnsupportedError>([&] { open(8, options); }));
  options.bit_depth = 8;
  options.x265 = "no-such-option=3";
  CHECK(throws<bpg::EncodeError>([&] { open(8, options); }));
  options.x265.clear();
  for (const int sign : {-1, 1}) {
    options.deblock = sign * 7;
    CHECK(throws<bpg::EncodeError>([&] { open(8, options); }));
    options.deblock = sign * 6;
    open(8, options);
    options.chroma_qp_offset = sign * 13;
    CHECK(throws<bpg::EncodeError>([&] { open(8, options); }));
    CHECK(throws<bpg::EncodeError>([&] { static_cast<void>(bpg::chroma_qp_offset(options)); }));
    options.chroma_qp_offset = sign * 12;
    open(8, options);
    CHECK(bpg::chroma_qp_offset(options) == sign * 12);
  }
  bpg::Encoder encoder(8, 8, false, {});
  const TestImage image(8, 8, 3, 0);
  CHECK(throws<bpg::EncodeError>([&] { encoder.encode(image.view(), {52, 0}, {}); }));
}

void damaged_files_are_refused() {
  const TestImage image(96, 80, 3, 1);
  bpg::EncodeOptions options;
  options.effort = 1;
  bpg::Encoder encoder(96, 80, false, options);
  const std::vector<std::uint8_t> file = encoder.encode(image.view(), {35, 35}, {}).file;
  for (std::size_t size = 0; size < file.size(); ++size) {
    CHECK(throws<bpg::DecodeError>([&] {
      bpg::decode({file.data(), size}, kLimits, [](const bpg::PictureView&, std::size_t) {});
    }));
  }
  CHECK(throws<bpg::DecodeError>([&] {
    bpg::decode(span(file), {96 * 80 - 1}, [](const bpg::PictureView&, std::size_t) {});
  }));
  // A header that claims a picture which its few bytes cannot hold.
  std::vector<std::uint8_t> liar = file;
  liar.erase(liar.begin() + 6, liar.begin() + 8);
  const std::uint8_t huge[] = {0x8F, 0xFF, 0x7F, 0x8F, 0xFF, 0x7F};
  liar.insert(liar.begin() + 6, std::begin(huge), std::end(huge));
  CHECK(throws<bpg::DecodeError>([&] {
    bpg::decode(span(liar), {~std::uint64_t{0}}, [](const bpg::PictureView&, std::size_t) {});
  }));
  CHECK(decoded(file, 3).size() == 1);  // a decoder survives bad files
}

}  // namespace

int main() {
  reconstruction_is_what_a_decoder_gets();
  lossless_rgb_is_exact();
  bytes_do_not_depend_on_the_past();
  animations_round_trip();
  slice_qp_follows_bpgenc();
  cost_grows_with_size_and_detail();
  wrong_options_are_refused();
  damaged_files_are_refused();
  return bpg_test::report();
}
