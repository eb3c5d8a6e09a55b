#include "hevc_decoder.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "bpg/decoder.hpp"
#include "bpg/error.hpp"
#include "hevc_syntax.hpp"
#include "plane_memory.hpp"

namespace bpg {
namespace {

constexpr int kPlanePadding = static_cast<int>(kPlaneAlignment);
// Puts all that a context says beyond every level that a process may have set with
// av_log_set_level, which belongs to the process: errors reach the caller as exceptions.
constexpr int kSilent = 255 - AV_LOG_TRACE;
// A block of samples in the middle of each coding tree block that a missing block leaves as it was.
constexpr int kProbeSize = 4;

constexpr std::size_t kPatternSize = 512;
using Pattern = std::array<std::uint8_t, kPatternSize>;

constexpr Pattern noise() {
  Pattern bytes{};
  std::uint64_t state = 0x9E3779B97F4A7C15ULL;
  for (std::size_t i = 0; i < kPatternSize; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    bytes[i] = static_cast<std::uint8_t>(state >> 32);
  }
  return bytes;
}

// Noise that no decoder would produce: it marks what was never written.
constexpr Pattern kUntouched = noise();

void fill_with_pattern(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = 0; at < size; at += kPatternSize) {
    std::memcpy(data + at, kUntouched.data(), std::min(kPatternSize, size - at));
  }
}

void free_buffer(void* size, std::uint8_t* data) {
  free_planes(reinterpret_cast<std::byte*>(data), reinterpret_cast<std::uintptr_t>(size));
}

// libavcodec's own pool hands out memory that still holds other pictures; here every picture starts
// from the pattern, so nothing leaks from one file into another.
int get_buffer(AVCodecContext* context, AVFrame* frame, int /*flags*/) {
  const auto format = static_cast<AVPixelFormat>(frame->format);
  int width = frame->width;
  int height = frame->height;
  std::array<int, AV_NUM_DATA_POINTERS> line_alignment{};
  avcodec_align_dimensions2(context, &width, &height, line_alignment.data());
  if (av_image_fill_linesizes(frame->linesize, format, width + kPlanePadding) < 0) {
    return AVERROR(EINVAL);
  }
  std::array<std::ptrdiff_t, 4> strides{};
  for (std::size_t i = 0; i < strides.size(); ++i) {
    frame->linesize[i] = (frame->linesize[i] + kPlanePadding - 1) / kPlanePadding * kPlanePadding;
    strides[i] = frame->linesize[i];
  }
  std::array<std::size_t, 4> sizes{};
  if (av_image_fill_plane_sizes(sizes.data(), format, height + 1, strides.data()) < 0) {
    return AVERROR(EINVAL);
  }
  for (std::size_t i = 0; i < sizes.size() && sizes[i] > 0; ++i) {
    const std::size_t size = sizes[i] + kPlanePadding;
    std::byte* memory = allocate_planes(size);
    if (memory == nullptr) {
      return AVERROR(ENOMEM);
    }
    auto* data = reinterpret_cast<std::uint8_t*>(memory);
    fill_with_pattern(data, size);
    frame->buf[i] = av_buffer_create(data, size, free_buffer,
                                     reinterpret_cast<void*>(static_cast<std::uintptr_t>(size)), 0);
    if (frame->buf[i] == nullptr) {
      free_planes(memory, size);
      return AVERROR(ENOMEM);
    }
    frame->data[i] = data;
  }
  frame->extended_data = frame->data;
  return 0;
}

// Whether the samples around (x, y) still hold the pattern at their place in the plane.
bool is_untouched(const AVFrame& frame, int x, int y, int bytes_per_sample) {
  for (int row = y; row < y + kProbeSize; ++row) {
    const std::size_t begin =
        static_cast<std::size_t>(row) * static_cast<std::size_t>(frame.linesize[0]) +
        static_cast<std::size_t>(x) * static_cast<std::size_t>(bytes_per_sample);
    for (std::size_t i = 0; i < static_cast<std::size_t>(kProbeSize * bytes_per_sample); ++i) {
      if (frame.data[0][begin + i] != kUntouched[(begin + i) % kPatternSize]) {
        return false;
      }
    }
  }
  return true;
}

[[noreturn]] void damaged(const std::string& what) { throw DecodeError("damaged file: " + what); }

std::string error_text(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

// Throws for an error code of libavcodec; a lack of memory says nothing about the file.
[[noreturn]] void failed(int code, const std::string& what) {
  if (code == AVERROR(ENOMEM)) {
    throw std::bad_alloc();
  }
  throw DecodeError(what + " (" + error_text(code) + ")");
}

[[noreturn]] void undecodable(int code) {
  failed(code, "damaged file: its HEVC data cannot be decoded");
}

void append_nal(std::vector<std::uint8_t>& out, const Nal& nal) {
  out.insert(out.end(), {0, 0, 0, 1});
  out.insert(out.end(), nal.bytes.data, nal.bytes.data + nal.bytes.size);
  // The alpha stream becomes an ordinary base layer.
  std::uint8_t* header = out.data() + out.size() - nal.bytes.size;
  header[0] = static_cast<std::uint8_t>(header[0] & 0xFE);
  header[1] = static_cast<std::uint8_t>(header[1] & 0x07);
}

}  // namespace

HevcDecoder::HevcDecoder(const StreamFormat& format) : packet_(av_packet_alloc()), format_(format) {
  const AVCodec* codec = avcodec_find_decoder(AV_CODEC_ID_HEVC);
  if (codec == nullptr) {
    throw UnsupportedError("this libavcodec was built without its HEVC decoder");
  }
  context_.reset(avcodec_alloc_context3(codec));
  if (!context_ || !packet_) {
    throw std::bad_alloc();
  }
  context_->thread_count = 1;
  context_->thread_type = 0;  // libavcodec warns of our buffers where it could use threads
  context_->log_level_offset = kSilent;
  context_->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;
  context_->get_buffer2 = get_buffer;
  const int result = avcodec_open2(context_.get(), codec, nullptr);
  if (result < 0) {
    failed(result, "libavcodec cannot open its HEVC decoder");
  }
}

void HevcDecoder::send(const std::vector<Nal>& nals) {
  buffer_.clear();
  if (first_) {
    buffer_ = implied_parameter_sets(format_.header, format_.chroma_format_idc, format_.width,
                                     format_.height, format_.bit_depth);
    first_ = false;
  }
  for (const Nal& nal : nals) {
    append_nal(buffer_, nal);
  }
  if (buffer_.size() >
      static_cast<std::size_t>(std::numeric_limits<int>::max() - AV_INPUT_BUFFER_PADDING_SIZE)) {
    damaged("a picture of more than 2 GiB");
  }
  const std::size_t size = buffer_.size();
  buffer_.resize(size + AV_INPUT_BUFFER_PADDING_SIZE, 0);
  packet_->data = buffer_.data();
  packet_->size = static_cast<int>(size);
  const int result = avcodec_send_packet(context_.get(), packet_.get());
  packet_->data = nullptr;
  packet_->size = 0;
  if (result < 0) {
    undecodable(result);
  }
}

void HevcDecoder::send_end() {
  const int result = avcodec_send_packet(context_.get(), nullptr);
  if (result < 0 && result != AVERROR_EOF) {
    undecodable(result);
  }
}

FramePtr HevcDecoder::receive() {
  FramePtr frame(av_frame_alloc());
  if (!frame) {
    throw std::bad_alloc();
  }
  const int result = avcodec_receive_frame(context_.get(), frame.get());
  if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) {
    return nullptr;
  }
  if (result < 0) {
    undecodable(result);
  }
  check_frame(*frame);
  return frame;
}

void HevcDecoder::check_frame(const AVFrame& frame) const {
  const AVPixFmtDescriptor* d = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  const int planes = format_.chroma_format_idc == 0 ? 1 : 3;
  const bool subsampled_x = format_.chroma_format_idc == 1 || format_.chroma_format_idc == 2;
  if (d == nullptr || d->nb_components != planes || d->comp[0].depth != format_.bit_depth ||
      (planes == 3 && (d->log2_chroma_w != (subsampled_x ? 1 : 0) ||
                       d->log2_chroma_h != (format_.chroma_format_idc == 1 ? 1 : 0))) ||
      frame.width < format_.width || frame.height < format_.height) {
    damaged("its HEVC data is not what its header says");
  }
  if (frame.decode_error_flags != 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) != 0) {
    damaged("its HEVC data has errors");
  }
  const int bytes_per_sample = format_.bit_depth > 8 ? 2 : 1;
  const int ctb = 1 << (format_.header.log2_min_cb + format_.header.log2_diff_max_min_cb);
  for (int y = 0; y < frame.height; y += ctb) {
    for (int x = 0; x < frame.width; x += ctb) {
      const int middle_x = x + (std::min(ctb, frame.width - x) - kProbeSize) / 2;
      const int middle_y = y + (std::min(ctb, frame.height - y) - kProbeSize) / 2;
      if (is_untouched(frame, middle_x, middle_y, bytes_per_sample)) {
        damaged("its HEVC data lacks some blocks of the picture");
      }
    }
  }
}

std::string libavcodec_version() {
  const unsigned version = avcodec_version();
  return std::to_string(AV_VERSION_MAJOR(version)) + "." +
         std::to_string(AV_VERSION_MINOR(version)) + "." +
         std::to_string(AV_VERSION_MICRO(version));
}

}  // namespace bpg
