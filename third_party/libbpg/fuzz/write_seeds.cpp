// Writes small files of every kind that the encoder knows: write_seeds FOLDER
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "bpg/encoder.hpp"
#include "bytes.hpp"
#include "drawn_image.hpp"
#include "drawn_map.hpp"

namespace {

using bpg_fuzz::Bytes;
using bpg_fuzz::DrawnImage;

std::vector<std::uint8_t> pattern(unsigned seed) {
  std::vector<std::uint8_t> bytes(401);
  for (std::uint8_t& byte : bytes) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(seed >> 24);
  }
  bytes[0] = bytes[1] = 0;  // 8-bit samples
  return bytes;
}

void save(const std::string& path, const std::vector<std::uint8_t>& file) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
}

bpg::EncodeOptions options(int chroma, int depth, int effort, bool lossless) {
  bpg::EncodeOptions o;
  o.chroma = static_cast<bpg::Chroma>(chroma);
  o.bit_depth = depth;
  o.effort = effort;
  o.lossless = lossless;
  o.tune = effort == 4 ? bpg::Tune::machine : bpg::Tune::ssim;
  return o;
}

void write_stills(const std::string& folder) {
  unsigned seed = 0;
  for (int chroma = 0; chroma < 6; ++chroma) {
    for (const int depth : {8, 10, 12}) {
      for (const int effort : {1, 4, 8}) {
        const bool has_alpha = seed % 3 == 0;
        bpg::Encoder encoder(33, 41, has_alpha, options(chroma, depth, effort, seed % 5 == 0));
        const std::vector<std::uint8_t> drawn = pattern(++seed);
        Bytes bytes(drawn.data(), drawn.size());
        const DrawnImage image(bytes, 33, 41, 4);
        const std::vector<bpg::Extension> extensions =
            seed % 7 == 0 ? std::vector<bpg::Extension>{{1, {1, 2, 3}}, {99, {4}}}
                          : std::vector<bpg::Extension>{};
        const int qp = static_cast<int>(seed * 5 % 40) + 12;
        save(folder + "/still" + std::to_string(seed) + ".bpg",
             encoder.encode(image.view(), {qp, qp}, extensions).file);
      }
    }
  }
}

void write_stills_with_maps(const std::string& folder) {
  for (const int effort : {1, 4, 8}) {
    bpg::EncodeOptions o = options(effort == 4 ? 3 : 1, effort == 8 ? 10 : 8, effort, false);
    o.qp_maps = true;
    bpg::Encoder encoder(70, 50, effort == 8, o);
    const std::vector<std::uint8_t> drawn = pattern(static_cast<unsigned>(effort));
    Bytes bytes(drawn.data(), drawn.size());
    const DrawnImage image(bytes, 70, 50, 4);
    Bytes more(drawn.data(), drawn.size());
    const bpg_fuzz::DrawnMap map(more, bpg::qp_map_size(70), bpg::qp_map_size(50), false);
    save(folder + "/map" + std::to_string(effort) + ".bpg",
         encoder.encode(image.view(), {30, 30}, {}, map.view()).file);
  }
}

void write_animations(const std::string& folder) {
  for (const bool has_alpha : {false, true}) {
    bpg::AnimationEncoder encoder(24, 17, has_alpha, options(1, 8, 4, false));
    for (unsigned frame = 0; frame < 3; ++frame) {
      const std::vector<std::uint8_t> drawn = pattern(frame);
      Bytes bytes(drawn.data(), drawn.size());
      encoder.add(DrawnImage(bytes, 24, 17, 4).view(), {35, 35},
                  static_cast<std::uint16_t>(frame + 1));
    }
    save(folder + (has_alpha ? "/animation_alpha.bpg" : "/animation.bpg"), encoder.finish({}, {}));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_seeds FOLDER\n");
    return 2;
  }
  write_stills(argv[1]);
  write_stills_with_maps(argv[1]);
  write_animations(argv[1]);
  return 0;
}
