// The intra decoder against libavcodec, sample by sample, and against damaged bytes.
//
// test_intra [rounds]: more rounds of random options and of damage than the few of a test run.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
#include "check.hpp"
#include "hevc_decoder.hpp"
#include "hevc_syntax.hpp"
#include "intra/intra_decoder.hpp"
#include "intra_generator.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

bpg::ByteSpan span(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

// One of a file's streams: its first picture's NAL units and what they hold.
struct Stream {
  bpg::StreamFormat format;
  std::vector<bpg::Nal> nals;
};

std::vector<bpg::Nal> first_picture(const std::vector<bpg::Nal>& nals, int layer) {
  std::vector<bpg::Nal> out;
  bool begun = false;
  for (const bpg::Nal& nal : nals) {
    if (nal.layer != layer) {
      continue;
    }
    const bool starts = bpg::is_slice(nal.type) && bpg::starts_picture(nal);
    if (begun && (starts || !bpg::is_slice(nal.type))) {
      break;
    }
    begun = begun || starts;
    out.push_back(nal);
  }
  return out;
}

std::vector<Stream> streams_of(const Bytes& file) {
  const bpg::ParsedFile parsed = bpg::parse_file(span(file));
  const std::vector<bpg::Nal> nals = bpg::split_nals(parsed.hevc_data);
  const bpg::Format& f = parsed.header.format;
  std::vector<Stream> streams{
      {{f.width, f.height, bpg::hevc_chroma_idc(f.chroma), f.bit_depth, parsed.color},
       first_picture(nals, 0)}};
  if (f.alpha != bpg::Alpha::none) {
    streams.push_back({{f.width, f.height, 0, f.bit_depth, parsed.alpha}, first_picture(nals, 1)});
  }
  return streams;
}

bpg::FramePtr decode_by_libavcodec(const Stream& stream) {
  bpg::HevcDecoder decoder(stream.format);
  decoder.send(stream.nals);
  bpg::FramePtr frame = decoder.receive();
  if (!frame) {
    decoder.send_end();
    frame = decoder.receive();
  }
  return frame;
}

// Number of the first plane that differs, or -1.
int first_difference(const AVFrame& frame, const bpg::Picture& picture) {
  const bpg::Format& f = picture.format();
  const bpg::PictureView view = picture.view();
  for (std::size_t i = 0; i < 3; ++i) {
    const bpg::ConstPlane& plane = view.planes[i];
    if (plane.data == nullptr) {
      continue;
    }
    const int width = bpg::subsampled(f.width, i > 0 ? bpg::chroma_shift_x(f.chroma) : 0);
    const int height = bpg::subsampled(f.height, i > 0 ? bpg::chroma_shift_y(f.chroma) : 0);
    const auto row = static_cast<std::size_t>(width) * (f.bit_depth > 8 ? 2 : 1);
    for (int y = 0; y < height; ++y) {
      if (std::memcmp(frame.data[i] + y * frame.linesize[i], plane.data + y * plane.stride, row) !=
          0) {
        return static_cast<int>(i);
      }
    }
  }
  return -1;
}

void check_stream(const Stream& stream, const std::string& name) {
  try {
    const bpg::Picture picture = bpg::decode_intra_picture(stream.format, stream.nals);
    const bpg::FramePtr frame = decode_by_libavcodec(stream);
    const int plane = frame ? first_difference(*frame, picture) : 0;
    if (plane >= 0) {
      std::printf("%s: plane %d differs\n", name.c_str(), plane);
    }
    CHECK(plane < 0);
  } catch (const bpg::Error& error) {
    std::printf("%s: %s\n", name.c_str(), error.what());
    CHECK(false);
  }
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void conformance_files_decode_alike() {
  const char* shared = std::getenv("NPP_SHARED");
  const std::filesystem::path folder =
      std::filesystem::path(shared != nullptr ? shared : "") / "conformance";
  if (shared == nullptr || !std::filesystem::is_directory(folder)) {
    std::printf("skipped: NPP_SHARED does not name the folder of the conformance files\n");
    return;
  }
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".bpg") {
      continue;
    }
    const Bytes file = read_file(entry.path());
    for (const Stream& stream : streams_of(file)) {
      const int depth = stream.format.bit_depth;
      const bool by_libavcodec = depth != 11 && depth < 13;
      if (!by_libavcodec || bpg::needs_intra_decoder(stream.format)) {
        CHECK(bpg::decode_intra_picture(stream.format, stream.nals).format().bit_depth == depth);
        continue;
      }
      check_stream(stream, entry.path().filename().string());
      ++compared;
    }
  }
  std::printf("%d streams of conformance files compared\n", compared);
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  /// 0 to n - 1.
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  template <class T, std::size_t N>
  T of(const std::array<T, N>& values) {
    return values[static_cast<std::size_t>(below(static_cast<int>(N)))];
  }

 private:
  std::mt19937 engine_;
};

// Gradients, edges and noise, so that an encoder finds use for all its modes.
Bytes make_image(int width, int height, Random& random) {
  Bytes samples;
  const int slope_x = random.below(9) - 4;
  const int slope_y = random.below(9) - 4;
  const int noise = 1 << random.below(8);
  const int period = 3 + random.below(40);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int edge = (x + 2 * y) / period % 3 * 60;
      for (int c = 0; c < 3; ++c) {
        samples.push_back(static_cast<std::uint8_t>(std::clamp(
            60 + slope_x * x + slope_y * y * (c + 1) / 2 + edge + random.below(noise), 0, 255)));
      }
    }
  }
  return samples;
}

struct Sample {
  Bytes file;
  std::string name;
};

Sample encode_random(Random& random) {
  static const std::array<std::string, 21> extra = {"",
                                                    "tskip=1",
                                                    "cbqpoffs=3:crqpoffs=-5",
                                                    "cbqpoffs=12:crqpoffs=12:deblock=-6,-6",
                                                    "strong-intra-smoothing=0",
                                                    "sao=0",
                                                    "signhide=0",
                                                    "ctu=16",
                                                    "ctu=32:min-cu-size=16",
                                                    "cu-lossless=1",
                                                    "max-tu-size=8:tu-intra-depth=2",
                                                    "tu-intra-depth=4",
                                                    "no-deblock=1",
                                                    "deblock=3,-4",
                                                    "constrained-intra=1",
                                                    "slices=2",
                                                    "qg-size=16",
                                                    "tskip=1:cu-lossless=1:ctu=32",
                                                    "max-tu-size=4:tu-intra-depth=3",
                                                    "rd=6:rdoq-level=0",
                                                    "slices=3:sao=1:tskip=1"};
  bpg::EncodeOptions options;
  options.chroma = static_cast<bpg::Chroma>(random.below(4));
  options.bit_depth = random.of(std::array<int, 3>{8, 10, 12});
  options.effort = random.below(6);
  options.lossless = random.below(8) == 0;
  options.x265 = random.of(extra);
  const int width = 1 + random.below(200);
  const int height = 1 + random.below(200);
  const int qp = random.below(52);
  const Bytes image = make_image(width, height, random);
  bpg::Encoder encoder(width, height, false, options);
  const bpg::ConstImageView view{reinterpret_cast<const std::byte*>(image.data()),
                                 bpg::SampleType::u8,
                                 width,
                                 height,
                                 3,
                                 1,
                                 std::ptrdiff_t{width} * 3,
                                 3};
  return {encoder.encode(view, {qp, qp}, {}).file,
          std::to_string(width) + "x" + std::to_string(height) + " chroma " +
              std::to_string(static_cast<int>(options.chroma)) + " depth " +
              std::to_string(options.bit_depth) + " qp " + std::to_string(qp) + " effort " +
              std::to_string(options.effort) + (options.lossless ? " lossless " : " ") +
              options.x265};
}

void encoded_pictures_decode_alike(int rounds) {
  Random random(1);
  int compared = 0;
  for (int i = 0; i < rounds; ++i) {
    try {
      const Sample sample = encode_random(random);
      check_stream(streams_of(sample.file).front(), sample.name);
      ++compared;
    } catch (const bpg::EncodeError& error) {
      std::printf("not encoded: %s\n", error.what());
    }
  }
  std::printf("%d encoded pictures compared\n", compared);
}

void generated_pictures_decode_alike(int rounds) {
  int compared = 0;
  for (int seed = 0; seed < rounds; ++seed) {
    bpg_test::GeneratedPicture picture;
    try {
      picture = bpg_test::generate_intra_picture(static_cast<unsigned>(seed));
    } catch (const bpg::DecodeError&) {
      continue;  // it drew a value that is out of range
    }
    Stream stream{picture.format, {}};
    for (const Bytes& nal : picture.nals) {
      stream.nals.push_back({span(nal), nal[0] >> 1, 0});
    }
    check_stream(stream, picture.description);
    ++compared;
  }
  CHECK(2 * compared > rounds);
  std::printf("%d generated pictures compared\n", compared);
}

// Flips, overwrites, cuts off or repeats some bytes of one NAL unit.
void damage(std::vector<Bytes>& nals, Random& random) {
  Bytes& nal = nals[static_cast<std::size_t>(random.below(static_cast<int>(nals.size())))];
  const auto place = [&] {
    return static_cast<std::size_t>(random.below(static_cast<int>(nal.size())));
  };
  for (int i = 1 + random.below(4); i > 0 && nal.size() > 2; --i) {
    const std::size_t at = place();
    switch (random.below(5)) {
      case 0:
        nal.resize(std::max<std::size_t>(2, at));
        break;
      case 1:
        nal[at] = static_cast<std::uint8_t>(random.below(256));
        break;
      case 2:
        nal.insert(nal.begin() + static_cast<std::ptrdiff_t>(at),
                   static_cast<std::uint8_t>(random.below(256)));
        break;
      default:
        nal[at] = static_cast<std::uint8_t>(nal[at] ^ 1 << random.below(8));
    }
  }
  if (random.below(8) == 0) {
    nals.push_back(nals[static_cast<std::size_t>(random.below(static_cast<int>(nals.size())))]);
  }
}

// Whatever the bytes are, decoding ends with a picture or with an Error.
void damaged_pictures_do_no_harm(int rounds) {
  Random random(7);
  int refused = 0;
  int decoded = 0;
  for (int round = 0; round < rounds; ++round) {
    bpg_test::GeneratedPicture picture;
    try {
      picture = bpg_test::generate_intra_picture(static_cast<unsigned>(random.below(1 << 20)));
    } catch (const bpg::DecodeError&) {
      continue;
    }
    for (int i = 0; i < 10; ++i) {
      std::vector<Bytes> nals = picture.nals;
      damage(nals, random);
      Stream stream{picture.format, {}};
      if (random.below(4) == 0) {
        stream.format.header.range_flags = static_cast<std::uint16_t>(random.below(512));
        stream.format.header.log2_min_tb = random.below(6);
        stream.format.header.pcm_bit_depth_luma = random.below(20);
        stream.format.chroma_format_idc = random.below(4);
      }
      for (const Bytes& nal : nals) {
        stream.nals.push_back({span(nal), nal[0] >> 1 & 0x3F, 0});
      }
      try {
        decoded += bpg::decode_intra_picture(stream.format, stream.nals).format().width > 0 ? 1 : 0;
      } catch (const bpg::DecodeError&) {
        ++refused;
      }
    }
  }
  std::printf("%d damaged pictures refused, %d decoded\n", refused, decoded);
  CHECK(refused > 0);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 60;
  conformance_files_decode_alike();
  encoded_pictures_decode_alike(rounds);
  generated_pictures_decode_alike(10 * rounds);
  damaged_pictures_do_no_harm(10 * rounds);
  return bpg_test::report();
}
