#include "bpg/encoder.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "block_qps.hpp"
#include "bpg/error.hpp"
#include "hevc_encoder.hpp"
#include "hevc_syntax.hpp"
#include "require.hpp"
#include "x265_settings.hpp"

namespace bpg {
namespace {

// Of an option that stands for the encoder's own choice where it has no value.
void check_strength(const char* name, const std::optional<int>& value, int most) {
  if (value && (*value < -most || *value > most)) {
    throw EncodeError(std::string(name) + " must be " + std::to_string(-most) + ".." +
                      std::to_string(most) + ", not " + std::to_string(*value));
  }
}

void check_options(int width, int height, const EncodeOptions& o) {
  if (width <= 0 || height <= 0) {
    throw EncodeError("width and height must be positive, not " + std::to_string(width) + "x" +
                      std::to_string(height));
  }
  if (o.effort < kMinEffort || o.effort > kMaxEffort) {
    throw EncodeError("effort must be 0..9, not " + std::to_string(o.effort));
  }
  if (o.bit_depth != 8 && o.bit_depth != 10 && o.bit_depth != 12) {
    const std::string message = "bit_depth must be 8, 10 or 12, not " + std::to_string(o.bit_depth);
    if (o.bit_depth == 9 || o.bit_depth == 11 || o.bit_depth == 13 || o.bit_depth == 14) {
      throw UnsupportedError(message + ": BPG allows it but x265 cannot write it");
    }
    throw EncodeError(message);
  }
  check_strength("deblock", o.deblock, kMostDeblock);
  check_strength("chroma_qp_offset", o.chroma_qp_offset, kMostChromaQpOffset);
  require(o.chroma != Chroma::gray || o.color_space == ColorSpace::ycbcr_bt601,
          "color_space must be ycbcr for a gray picture");
  require(!(o.lossless && o.qp_maps),
          "qp_map must not be given with lossless: a lossless picture is not quantised");
}

void check_qp(const char* name, int qp) {
  if (qp < kMinQp || qp > kMaxQp) {
    throw EncodeError(std::string(name) + " must be 0..51, not " + std::to_string(qp));
  }
}

Format make_format(int width, int height, bool has_alpha, const EncodeOptions& options) {
  Format format;
  format.width = width;
  format.height = height;
  format.chroma = options.chroma;
  format.color_space = options.color_space;
  format.bit_depth = options.bit_depth;
  format.limited_range = options.limited_range;
  if (has_alpha) {
    format.alpha = options.premultiplied ? Alpha::premultiplied : Alpha::straight;
  }
  return format;
}

HevcConfig make_config(int width, int height, int chroma_format_idc, const EncodeOptions& options,
                       bool inter) {
  HevcConfig config;
  config.width = width;
  config.height = height;
  config.chroma_format_idc = chroma_format_idc;
  config.bit_depth = options.bit_depth;
  config.lossless = options.lossless;
  config.inter = inter;
  config.qp_maps = options.qp_maps;
  config.effort = options.effort;
  config.tune = options.tune;
  config.psy_rd = options.psy_rd;
  config.deblock = options.deblock;
  config.chroma_qp_offset = options.chroma_qp_offset;
  config.x265 = options.x265;
  return config;
}

void append(std::vector<std::uint8_t>& out, ByteSpan span) {
  out.insert(out.end(), span.data, span.data + span.size);
}

void append_start_code(std::vector<std::uint8_t>& out) { out.insert(out.end(), {0, 0, 0, 1}); }

// Marks a NAL unit, start code included, as belonging to the alpha stream.
void append_as_alpha(std::vector<std::uint8_t>& out, ByteSpan span) {
  constexpr std::uint8_t kLayerOne = 1 << 3;
  const auto start_code = static_cast<std::size_t>(without_start_code(span).data - span.data);
  const std::size_t layer = out.size() + start_code + 1;  // in the second byte of the header
  append(out, span);
  out[layer] = static_cast<std::uint8_t>(out[layer] | kLayerOne);
}

// Codes pictures of one format: the colour planes and, where there is one, the alpha plane.
class PictureCoder {
 public:
  PictureCoder(int width, int height, bool has_alpha, const EncodeOptions& options, bool inter)
      : color_(make_config(width, height, hevc_chroma_idc(options.chroma), options, inter)),
        qp_maps_(options.qp_maps) {
    int alignment = color_.alignment();
    if (has_alpha) {
      HevcConfig config = make_config(width, height, 0, options, inter);
      config.qp_maps = false;  // a map is for the colours
      alpha_.emplace(config);
      alignment = std::max(alignment, alpha_->alignment());
    }
    input_ = Picture(make_format(width, height, has_alpha, options), alignment);
  }

  [[nodiscard]] const Format& format() const { return input_.format(); }
  [[nodiscard]] const HevcHeader& color_header() const { return color_.header(); }
  [[nodiscard]] const HevcHeader* alpha_header() const {
    return alpha_ ? &alpha_->header() : nullptr;
  }

  // Appends the picture's NAL units, each after a start code, in the order that bpgenc uses.
  Encoded code(const ConstImageView& image, PictureQp qp, const std::optional<QpMapView>& qp_map,
               std::optional<std::uint16_t> ticks, std::vector<std::uint8_t>& out) {
    check_qp("qp", qp.color);
    check_qp("alpha_qp", qp.alpha);
    if (qp_map) {
      require(qp_maps_, "qp_map was not announced when the encoder was opened");
      check_qp_map(*qp_map, format().width, format().height);
    }
    Encoded encoded;
    encoded.range = import_image(image, input_.mutable_view());
    input_.extend_edges();
    const PictureView view = input_.view();

    const auto start = std::chrono::steady_clock::now();
    HevcPicture alpha;
    if (alpha_) {
      alpha = alpha_->encode({view.planes[kAlphaPlane], {}, {}}, frame_qp(*alpha_, qp.alpha));
    }
    const HevcPicture color =
        color_.encode({view.planes[0], view.planes[1], view.planes[2]}, frame_qp(color_, qp.color),
                      qp_map.value_or(QpMapView{}));
    encoded.hevc_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    first_ = false;

    append_nals(alpha, color, ticks, out);
    encoded.reconstruction.format = view.format;
    for (std::size_t i = 0; i < 3; ++i) {
      encoded.reconstruction.planes[i] =
          view.planes[i].data != nullptr ? color.reconstruction[i] : ConstPlane{};
    }
    encoded.reconstruction.planes[kAlphaPlane] = alpha_ ? alpha.reconstruction[0] : ConstPlane{};
    return encoded;
  }

 private:
  [[nodiscard]] int frame_qp(const HevcEncoder& encoder, int qp) const {
    return first_ || encoder.codes_intra_only() ? intra_slice_qp(qp) : qp;
  }

  static void append_nals(const HevcPicture& alpha, const HevcPicture& color,
                          std::optional<std::uint16_t> ticks, std::vector<std::uint8_t>& out) {
    for (const ByteSpan span : alpha.pps) {
      append_as_alpha(out, span);
    }
    for (const ByteSpan span : color.pps) {
      append(out, span);
    }
    for (const ByteSpan span : alpha.slices) {
      append_as_alpha(out, span);
    }
    if (ticks && *ticks != 1) {
      const std::vector<std::uint8_t> sei = duration_sei(*ticks);
      append_start_code(out);
      append(out, {sei.data(), sei.size()});
    }
    for (const ByteSpan span : color.slices) {
      append(out, span);
    }
  }

  HevcEncoder color_;
  std::optional<HevcEncoder> alpha_;
  Picture input_;
  bool qp_maps_;
  bool first_ = true;
};

// BPG drops the very first start code.
ByteSpan without_first_start_code(const std::vector<std::uint8_t>& nals) {
  return without_start_code({nals.data(), nals.size()});
}

}  // namespace

int intra_slice_qp(int qp) {
  const double lowered = qp - 6.0 * std::log2(1.4);
  return std::max(0, static_cast<int>(std::floor(lowered + 0.5)));
}

int chroma_qp_offset(const EncodeOptions& options) {
  constexpr int kSide = 64;
  check_options(kSide, kSide, options);
  const HevcConfig config =
      make_config(kSide, kSide, hevc_chroma_idc(options.chroma), options, false);
  return x265_settings(x265_for(options.bit_depth), config)->cbQpOffset;
}

struct Encoder::State {
  PictureCoder coder;
};

Encoder::Encoder(int width, int height, bool has_alpha, const EncodeOptions& options) {
  check_options(width, height, options);
  state_ = std::make_unique<State>(State{PictureCoder(width, height, has_alpha, options, false)});
}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

const Format& Encoder::format() const { return state_->coder.format(); }

Encoded Encoder::encode(const ConstImageView& image, PictureQp qp,
                        const std::vector<Extension>& extensions,
                        const std::optional<QpMapView>& qp_map) {
  std::vector<std::uint8_t> nals;
  Encoded encoded = state_->coder.code(image, qp, qp_map, std::nullopt, nals);
  FileHeader header;
  header.format = state_->coder.format();
  header.extensions = extensions;
  encoded.file = write_file(header, state_->coder.alpha_header(), state_->coder.color_header(),
                            without_first_start_code(nals));
  return encoded;
}

struct AnimationEncoder::State {
  PictureCoder coder;
  std::vector<std::uint8_t> nals;
};

AnimationEncoder::AnimationEncoder(int width, int height, bool has_alpha,
                                   const EncodeOptions& options) {
  check_options(width, height, options);
  state_ =
      std::make_unique<State>(State{PictureCoder(width, height, has_alpha, options, true), {}});
  if (!libavcodec_takes(width, height)) {
    throw EncodeError("frames of " + std::to_string(width) + "x" + std::to_string(height) +
                      " pixels are larger than libavcodec decodes, which reads animations");
  }
}
AnimationEncoder::~AnimationEncoder() = default;
AnimationEncoder::AnimationEncoder(AnimationEncoder&&) noexcept = default;
AnimationEncoder& AnimationEncoder::operator=(AnimationEncoder&&) noexcept = default;

Encoded AnimationEncoder::add(const ConstImageView& image, PictureQp qp, std::uint16_t ticks,
                              const std::optional<QpMapView>& qp_map) {
  require(ticks > 0, "a frame must be shown for at least one frame period");
  return state_->coder.code(image, qp, qp_map, ticks, state_->nals);
}

std::vector<std::uint8_t> AnimationEncoder::finish(const AnimationControl& control,
                                                   const std::vector<Extension>& extensions) {
  require(!state_->nals.empty(), "an animation needs at least one frame");
  constexpr std::uint32_t kMost = 0xFFFF;  // of all three, in bpgdec and in BPG's specification
  require(control.period_num > 0 && control.period_den > 0, "the frame period must be positive");
  require(control.period_num <= kMost && control.period_den <= kMost && control.loop_count <= kMost,
          "the frame period's two numbers and the number of loops must be at most 65535");
  FileHeader header;
  header.format = state_->coder.format();
  header.animation = true;
  header.extensions = extensions;
  header.extensions.push_back(animation_extension(control));
  return write_file(header, state_->coder.alpha_header(), state_->coder.color_header(),
                    without_first_start_code(state_->nals));
}

X265Info x265_info() {
  X265Info info;
  for (const int depth : {8, 10, 12}) {
    try {
      const x265_api& api = x265_for(depth);
      info.version = api.version_str;
      info.build = api.build_info_str;
      info.bit_depths.push_back(depth);
    } catch (const UnsupportedError&) {
      continue;
    }
  }
  return info;
}

}  // namespace bpg
