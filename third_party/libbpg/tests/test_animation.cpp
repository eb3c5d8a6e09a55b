// Frames that are predicted from each other: what the encoder says it reconstructed is what the
// decoder gets, of every width and at every QP.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "bpg/qp_map.hpp"
#include "check.hpp"
#include "coded.hpp"

namespace {

using bpg_test::decoded;
using bpg_test::exported;
using bpg_test::TestImage;

constexpr int kFrames = 5;

// A grainy scene that a camera moves over: each frame is another part of it.
class MovingScene {
 public:
  MovingScene(int width, int height, int channels)
      : width_(width),
        height_(height),
        scene_(width + kFrames * kAcross, height + kFrames * kDown, channels, 0) {
    std::minstd_rand random(3);
    std::uniform_real_distribution<double> grain(-15, 15);
    std::size_t i = 0;
    for (int y = 0; y < scene_.height; ++y) {
      for (int x = 0; x < scene_.width; ++x) {
        for (int c = 0; c < channels; ++c) {
          const double value = 128 + 80 * std::sin(.3 * x + c) * std::cos(.2 * y) + grain(random);
          scene_.samples[i++] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
        }
      }
    }
  }

  [[nodiscard]] bpg::ConstImageView frame(int index) const {
    bpg::ConstImageView view = scene_.view();
    view.data += index * (kDown * view.stride_y + kAcross * view.stride_x);
    view.width = width_;
    view.height = height_;
    return view;
  }

 private:
  static constexpr int kAcross = 3;
  static constexpr int kDown = 2;
  int width_;
  int height_;
  TestImage scene_;
};

struct Animation {
  std::vector<std::uint8_t> file;
  std::vector<std::vector<std::uint8_t>> reconstruction;
};

Animation coded(int width, int height, int channels, int qp, const bpg::EncodeOptions& options,
                const std::optional<bpg::QpMapView>& map = std::nullopt) {
  const MovingScene scene(width, height, channels);
  bpg::AnimationEncoder encoder(width, height, channels == 4, options);
  Animation animation;
  for (int i = 0; i < kFrames; ++i) {
    const bpg::Encoded frame = encoder.add(scene.frame(i), {qp, qp}, 1, map);
    animation.reconstruction.push_back(exported(frame.reconstruction, channels));
  }
  animation.file = encoder.finish({0, 1, 25}, {});
  return animation;
}

// x265 leaves the corners unwritten beside pictures of one column of its blocks.
void frames_of_every_width() {
  for (const int effort : {1, 5, 8}) {
    for (int width = 1; width <= 72; width += effort == 1 ? 1 : 7) {
      bpg::EncodeOptions options;
      options.effort = effort;
      const int height = 1 + 11 * width % 90;
      const Animation animation = coded(width, height, 3, 20, options);
      CHECK(decoded(animation.file, 3) == animation.reconstruction);
      CHECK(coded(width, height, 3, 20, options).file == animation.file);
    }
  }
}

void lossless_sprites_are_exact() {
  bpg::EncodeOptions options;
  options.chroma = bpg::Chroma::c444;
  options.color_space = bpg::ColorSpace::rgb;
  options.lossless = true;
  for (const int side : {16, 32, 64}) {
    const MovingScene scene(side, side, 3);
    const auto frames = decoded(coded(side, side, 3, 20, options).file, 3);
    CHECK(frames.size() == kFrames);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const bpg::ConstImageView frame = scene.frame(static_cast<int>(i));
      for (int y = 0; y < side; ++y) {
        const auto* row = reinterpret_cast<const std::uint8_t*>(frame.data + y * frame.stride_y);
        CHECK(std::equal(row, row + 3 * side, frames[i].data() + 3 * side * y));
      }
    }
  }
}

// libavcodec decodes predicted pictures of 12 bits wrongly where a plane's QP is above 49, to which
// an offset may lift colours.
void coarse_colours_of_12_bits() {
  bpg::EncodeOptions gray;
  gray.chroma = bpg::Chroma::gray;
  gray.bit_depth = 12;
  const auto bytes = [](const bpg::EncodeOptions& options) {
    return coded(96, 80, 1, 51, options).file;
  };
  bpg::EncodeOptions lifted = gray;
  lifted.x265 = "cbqpoffs=12:crqpoffs=12";
  CHECK(bytes(lifted).size() < bytes(gray).size() + 64);  // what has no colours is not held back
  for (const bpg::Chroma chroma : {bpg::Chroma::c420, bpg::Chroma::c422, bpg::Chroma::c444}) {
    for (int qp = 30; qp <= 51; qp += 3) {
      bpg::EncodeOptions options;
      options.effort = 3;
      options.bit_depth = 12;
      options.chroma = chroma;
      options.psy_rd = qp % 2;  // which lets x265 lift them by 6 more in 4:4:4
      options.x265 = qp % 2 != 0 ? "" : "cbqpoffs=12:crqpoffs=9";
      const Animation animation = coded(96, 80, 3, qp, options);
      CHECK(decoded(animation.file, 3) == animation.reconstruction);
    }
  }
}

void every_coarse_qp_of_every_depth() {
  for (const int depth : {8, 10, 12}) {
    for (int qp = 46; qp <= 51; ++qp) {
      bpg::EncodeOptions options;
      options.effort = 3;
      options.bit_depth = depth;
      const Animation animation = coded(96, 80, 4, qp, options);
      CHECK(decoded(animation.file, 4) == animation.reconstruction);

      options.qp_maps = true;
      const std::vector<float> coarser(6 * 5, 8.0F);
      const bpg::QpMapView map{coarser.data(), bpg::qp_map_size(96), bpg::qp_map_size(80)};
      const Animation mapped = coded(96, 80, 3, qp, options, map);
      CHECK(decoded(mapped.file, 3) == mapped.reconstruction);
    }
  }
}

}  // namespace

int main() {
  frames_of_every_width();
  lossless_sprites_are_exact();
  every_coarse_qp_of_every_depth();
  coarse_colours_of_12_bits();
  return bpg_test::report();
}
