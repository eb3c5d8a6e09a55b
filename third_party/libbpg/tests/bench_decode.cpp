// What decoding a file costs beside libavcodec's own time and the colour conversion.
//   bench_decode FILE.bpg...
extern "C" {
#include <libavcodec/avcodec.h>
}

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/decoder.hpp"
#include "hevc_syntax.hpp"

namespace {

constexpr int kRuns = 31;
constexpr bpg::DecodeLimits kLimits{std::uint64_t{1} << 28};

// Of this thread, so that other programs on the machine do not count.
double now_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// The file's colour stream as libavcodec takes it.
std::vector<std::uint8_t> annex_b(const bpg::ParsedFile& parsed) {
  const bpg::Format& f = parsed.header.format;
  std::vector<std::uint8_t> out = bpg::implied_parameter_sets(
      parsed.color, bpg::hevc_chroma_idc(f.chroma), f.width, f.height, f.bit_depth);
  for (const bpg::Nal& nal : bpg::split_nals(parsed.hevc_data)) {
    if (nal.layer == 0) {
      out.insert(out.end(), {0, 0, 0, 1});
      out.insert(out.end(), nal.bytes.data, nal.bytes.data + nal.bytes.size);
    }
  }
  return out;
}

// libavcodec with its own buffers, opened once.
class PlainDecoder {
 public:
  PlainDecoder() : context_(avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_HEVC))) {
    context_->thread_count = 1;
    avcodec_open2(context_, context_->codec, nullptr);
  }
  ~PlainDecoder() {
    av_frame_free(&frame_);
    av_packet_free(&packet_);
    avcodec_free_context(&context_);
  }
  PlainDecoder(const PlainDecoder&) = delete;
  PlainDecoder& operator=(const PlainDecoder&) = delete;

  bool decode(std::vector<std::uint8_t>& stream, std::size_t size) {
    avcodec_flush_buffers(context_);
    packet_->data = stream.data();
    packet_->size = static_cast<int>(size);
    avcodec_send_packet(context_, packet_);
    avcodec_send_packet(context_, nullptr);
    return avcodec_receive_frame(context_, frame_) == 0;
  }

 private:
  AVCodecContext* context_;
  AVPacket* packet_ = av_packet_alloc();
  AVFrame* frame_ = av_frame_alloc();
};

void bench(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
  const bpg::ByteSpan file{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const bpg::ParsedFile parsed = bpg::parse_file(file);
  const bpg::Format& f = parsed.header.format;
  std::vector<std::uint8_t> nals = annex_b(parsed);
  const std::size_t size = nals.size();
  nals.resize(size + AV_INPUT_BUFFER_PADDING_SIZE, 0);
  std::vector<std::byte> image(static_cast<std::size_t>(f.width) *
                               static_cast<std::size_t>(f.height) * 3 * sizeof(float));
  const bpg::ImageView view{image.data(),
                            bpg::SampleType::f32,
                            f.width,
                            f.height,
                            3,
                            static_cast<std::ptrdiff_t>(f.width) * f.height * 4,
                            f.width * 4,
                            4};
  PlainDecoder plain;
  std::vector<double> ours;
  std::vector<double> libavcodec;
  std::vector<double> conversion;
  for (int i = 0; i < kRuns; ++i) {
    double start = now_ms();
    double export_ms = 0;
    bpg::decode(file, kLimits, [&](const bpg::PictureView& picture, std::size_t) {
      const double begin = now_ms();
      bpg::export_image(picture, view);
      export_ms = now_ms() - begin;
    });
    ours.push_back(now_ms() - start);
    conversion.push_back(export_ms);
    start = now_ms();
    if (!plain.decode(nals, size)) {
      std::printf("%s: libavcodec cannot decode it\n", path);
      return;
    }
    libavcodec.push_back(now_ms() - start);
  }
  const double megapixels = f.width * static_cast<double>(f.height) / 1e6;
  const double floor_ms = median(libavcodec) + median(conversion);
  std::printf(
      "%s: %dx%d, ms/MP: decode %.1f, libavcodec %.1f, colour conversion %.1f, ratio %.2f\n", path,
      f.width, f.height, median(ours) / megapixels, median(libavcodec) / megapixels,
      median(conversion) / megapixels, median(ours) / floor_ms);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    bench(argv[i]);
  }
  return argc > 1 ? 0 : 2;
}
