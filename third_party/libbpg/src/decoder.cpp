#include "bpg/decoder.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "bpg/error.hpp"
#include "coded_file.hpp"
#include "hevc_decoder.hpp"
#include "hevc_syntax.hpp"
#include "intra/intra_decoder.hpp"
#include "intra/parameters.hpp"

namespace bpg {
namespace {

// A picture by libavcodec or by the intra decoder.
using Decoded = std::variant<FramePtr, Picture>;

ConstPlane plane_of(const Decoded& decoded, std::size_t index) {
  if (const auto* picture = std::get_if<Picture>(&decoded)) {
    return picture->view().planes[index];
  }
  const AVFrame& frame = *std::get<FramePtr>(decoded);
  return {reinterpret_cast<const std::byte*>(frame.data[index]), frame.linesize[index]};
}

// Whether a parameter set of the colours before their first slice is as asked for. One that cannot
// be read is the decoder's to refuse.
template <class Asked>
bool any_parameters(const std::vector<Nal>& nals, Asked asked) {
  for (const Nal& nal : nals) {
    if (nal.layer != 0) {
      continue;
    }
    if (is_slice(nal.type)) {
      return false;
    }
    try {
      if (nal.type == kNalPps && asked(intra::parse_picture_parameters(nal.bytes))) {
        return true;
      }
    } catch (const DecodeError&) {
      continue;
    }
  }
  return false;
}

// Whether libavcodec may show subsampled chroma wrongly: it deblocks by the wrong QP where blocks
// without loss lie among blocks whose QPs differ.
bool mixes_lossless_blocks(const StreamFormat& format, const std::vector<Nal>& nals) {
  const bool subsampled = format.chroma_format_idc == 1 || format.chroma_format_idc == 2;
  return subsampled && any_parameters(nals, [](const intra::PictureParameters& pps) {
           return pps.transquant_bypass && pps.qp_delta;
         });
}

// One HEVC stream of a file and the pictures that came out of it so far.
class Stream {
 public:
  // The intra decoder knows stills only.
  Stream(const Format& f, int chroma_format_idc, const HevcHeader& header, bool still)
      : format_{f.width, f.height, chroma_format_idc, f.bit_depth, header}, still_(still) {
    if (!still && !libavcodec_takes(f.width, f.height)) {
      throw UnsupportedError("frames of " + std::to_string(f.width) + "x" +
                             std::to_string(f.height) + " pixels are larger than libavcodec takes");
    }
    if (!still || !needs_intra_decoder(format_)) {
      decoder_.emplace(format_);
    }
  }
  void send(const std::vector<Nal>& nals) {
    if (still_ && mixes_lossless_blocks(format_, nals)) {
      decoder_.reset();
    }
    if (!decoder_) {
      ready_.emplace_back(decode_intra_picture(format_, nals));
      return;
    }
    decoder_->send(nals);
    collect();
  }
  void send_end() {
    if (decoder_) {
      decoder_->send_end();
      collect();
    }
  }
  [[nodiscard]] bool has_picture() const { return !ready_.empty(); }
  Decoded take() {
    Decoded picture = std::move(ready_.front());
    ready_.pop_front();
    return picture;
  }

 private:
  void collect() {
    while (FramePtr frame = decoder_->receive()) {
      ready_.emplace_back(std::move(frame));
    }
  }

  StreamFormat format_;
  bool still_;
  std::optional<HevcDecoder> decoder_;  // else the intra decoder
  std::deque<Decoded> ready_;
};

// The streams of one file.
struct Streams {
  Stream color;
  std::optional<Stream> alpha;

  // Hands over what is decoded, frame `index` first; gives the next frame's index. The caller of
  // decode() has memory for `count` frames and no more.
  std::size_t deliver(const Format& format, std::size_t index, std::size_t count,
                      const FrameCallback& on_frame) {
    while (color.has_picture() && (!alpha || alpha->has_picture())) {
      if (index == count) {
        throw DecodeError("damaged file: more pictures come out of it than it has frames");
      }
      const Decoded picture = color.take();
      const Decoded opacity = alpha ? alpha->take() : Decoded();
      PictureView view;
      view.format = format;
      const std::size_t planes = format.chroma == Chroma::gray ? 1 : 3;
      for (std::size_t i = 0; i < planes; ++i) {
        view.planes[i] = plane_of(picture, i);
      }
      if (alpha) {
        view.planes[kAlphaPlane] = plane_of(opacity, 0);
      }
      on_frame(view, index++);
    }
    return index;
  }
};

}  // namespace

FileInfo probe(ByteSpan file, Extensions extensions) {
  ParsedFile parsed = parse_file(file, extensions);
  FileInfo info;
  info.header = std::move(parsed.header);
  const std::vector<Nal> nals = split_nals(parsed.hevc_data);
  info.ticks = frame_ticks(nals);
  if (info.ticks.empty()) {
    throw DecodeError("damaged file: it holds no picture");
  }
  if (!info.header.animation) {
    info.ticks.resize(1);
  }
  info.block_qps =
      any_parameters(nals, [](const intra::PictureParameters& pps) { return pps.qp_delta; });
  return info;
}

void decode(ByteSpan file, const DecodeLimits& limits, const FrameCallback& on_frame) {
  const CodedFile coded = open_file(file, limits);
  const ParsedFile& parsed = coded.parsed;
  const std::vector<AccessUnit>& units = coded.units;
  const Format& format = parsed.header.format;
  const bool has_alpha = format.alpha != Alpha::none;
  const bool still = !parsed.header.animation;
  Streams streams{{format, hevc_chroma_idc(format.chroma), parsed.color, still}, std::nullopt};
  if (has_alpha) {
    streams.alpha.emplace(format, 0, parsed.alpha, still);
  }
  std::size_t delivered = 0;
  for (const AccessUnit& unit : units) {
    streams.color.send(unit.color);
    if (has_alpha) {
      streams.alpha->send(unit.alpha);
    }
    delivered = streams.deliver(format, delivered, units.size(), on_frame);
  }
  streams.color.send_end();
  if (has_alpha) {
    streams.alpha->send_end();
  }
  delivered = streams.deliver(format, delivered, units.size(), on_frame);
  if (delivered != units.size()) {
    throw DecodeError("damaged file: " + std::to_string(delivered) + " of " +
                      std::to_string(units.size()) + " frames could be decoded");
  }
}

}  // namespace bpg
