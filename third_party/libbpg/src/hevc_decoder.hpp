#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/picture.hpp"
#include "libavcodec_api.hpp"

namespace bpg {

struct PacketDeleter {
  void operator()(AVPacket* p) const { av_packet_free(&p); }
};
struct FrameDeleter {
  void operator()(AVFrame* f) const { av_frame_free(&f); }
};
struct ContextDeleter {
  void operator()(AVCodecContext* c) const { avcodec_free_context(&c); }
};
using FramePtr = std::unique_ptr<AVFrame, FrameDeleter>;

/// What a stream must turn out to hold.
struct StreamFormat {
  int width = 0;
  int height = 0;
  int chroma_format_idc = 1;
  int bit_depth = 8;
  HevcHeader header;
};

/// RAII around libavcodec's HEVC decoder on one thread, for one stream; one picture a packet.
/// A context that is flushed and used for another stream keeps some state of the one before and
/// then decodes rare pictures wrongly (found by tests/test_intra.cpp), so that there is none to
/// keep.
class HevcDecoder {
 public:
  explicit HevcDecoder(const StreamFormat& format);

  /// Sends the NAL units of one picture. Throws DecodeError when they are damaged.
  void send(const std::vector<Nal>& nals);
  /// Says that nothing follows.
  void send_end();
  /// The next picture in order, or null when more has to be sent. Throws DecodeError when the
  /// picture is damaged or is not what the format says.
  FramePtr receive();

 private:
  void check_frame(const AVFrame& frame) const;

  std::unique_ptr<AVCodecContext, ContextDeleter> context_;
  std::unique_ptr<AVPacket, PacketDeleter> packet_;
  StreamFormat format_;
  std::vector<std::uint8_t> buffer_;
  bool first_ = true;
};

}  // namespace bpg
