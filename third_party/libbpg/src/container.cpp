#include "bpg/container.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "bits.hpp"
#include "bpg/error.hpp"
#include "hevc_syntax.hpp"
#include "require.hpp"

namespace bpg {
namespace {

constexpr std::uint8_t kMagic[4] = {0x42, 0x50, 0x47, 0xFB};
constexpr int kMaxBitDepth = 14;
// An extension without data costs two bytes in a file and far more in memory.
constexpr std::size_t kMaxExtensions = 4096;

Alpha alpha_from_flags(bool alpha1, bool alpha2) {
  if (alpha1) {
    return alpha2 ? Alpha::premultiplied : Alpha::straight;
  }
  return alpha2 ? Alpha::w_plane : Alpha::none;
}

AnimationControl parse_animation_control(ByteSpan data) {
  ByteReader reader(data);
  AnimationControl control;
  control.loop_count = reader.ue7();
  control.period_num = reader.ue7();
  control.period_den = reader.ue7();
  if (control.period_num == 0 || control.period_den == 0) {
    throw DecodeError("damaged file: the animation's frame period is zero");
  }
  return control;
}

// An extension where it stands in the file.
struct FoundExtension {
  std::uint32_t tag;
  ByteSpan data;
};

std::vector<FoundExtension> parse_extensions(ByteSpan data) {
  std::vector<FoundExtension> extensions;
  ByteReader reader(data);
  while (reader.left() > 0) {
    const std::uint32_t tag = reader.ue7();
    const ByteSpan body = reader.take(reader.ue7());
    if (extensions.size() == kMaxExtensions) {
      throw DecodeError("the file has more than " + std::to_string(kMaxExtensions) + " extensions");
    }
    extensions.push_back({tag, body});
  }
  return extensions;
}

HevcHeader parse_hevc_header(ByteSpan bytes) {
  BitReader reader(bytes);
  HevcHeader h;
  const auto bounded = [&reader](const char* name, std::uint32_t limit) {
    const std::uint32_t value = reader.ue();
    if (value > limit) {
      throw DecodeError("damaged file: HEVC header field " + std::string(name) + " is " +
                        std::to_string(value) + ", the limit is " + std::to_string(limit));
    }
    return static_cast<int>(value);
  };
  h.log2_min_cb = 3 + bounded("log2_min_cb - 3", 3);
  h.log2_diff_max_min_cb = bounded("log2_diff_max_min_cb", 3);
  h.log2_min_tb = 2 + bounded("log2_min_tb - 2", 3);
  h.log2_diff_max_min_tb = bounded("log2_diff_max_min_tb", 3);
  h.max_transform_hierarchy_depth_intra = bounded("max_transform_hierarchy_depth_intra", 4);
  h.sao = reader.flag();
  h.pcm = reader.flag();
  if (h.pcm) {
    h.pcm_bit_depth_luma = 1 + static_cast<int>(reader.bits(4));
    h.pcm_bit_depth_chroma = 1 + static_cast<int>(reader.bits(4));
    h.log2_min_pcm_cb = 3 + bounded("log2_min_pcm_cb - 3", 2);
    h.log2_diff_max_min_pcm_cb = bounded("log2_diff_max_min_pcm_cb", 2);
    h.pcm_loop_filter_disabled = reader.flag();
  }
  h.strong_intra_smoothing = reader.flag();
  h.sps_extension = reader.flag();
  if (h.sps_extension) {
    h.range_extension = reader.flag();
    h.extension_7bits = static_cast<std::uint8_t>(reader.bits(7));
    if (h.range_extension) {
      h.range_flags = static_cast<std::uint16_t>(reader.bits(9));
    }
  }
  const int log2_ctb = h.log2_min_cb + h.log2_diff_max_min_cb;
  const int log2_max_tb = h.log2_min_tb + h.log2_diff_max_min_tb;
  if (log2_ctb < 4 || log2_ctb > 6 || h.log2_min_tb >= h.log2_min_cb ||
      log2_max_tb > std::min(log2_ctb, 5)) {
    throw DecodeError("damaged file: HEVC block sizes contradict each other");
  }
  return h;
}

std::vector<std::uint8_t> hevc_header_bytes(const HevcHeader& h) {
  BitWriter w;
  w.ue(static_cast<std::uint32_t>(h.log2_min_cb - 3));
  w.ue(static_cast<std::uint32_t>(h.log2_diff_max_min_cb));
  w.ue(static_cast<std::uint32_t>(h.log2_min_tb - 2));
  w.ue(static_cast<std::uint32_t>(h.log2_diff_max_min_tb));
  w.ue(static_cast<std::uint32_t>(h.max_transform_hierarchy_depth_intra));
  w.flag(h.sao);
  put_pcm(w, h);
  w.flag(h.strong_intra_smoothing);
  w.flag(h.sps_extension);
  if (h.sps_extension) {
    w.flag(h.range_extension);
    w.bits(h.extension_7bits, 7);
    if (h.range_extension) {
      w.bits(h.range_flags, 9);
    }
  }
  w.align();
  return w.bytes();
}

// Whether the file has extensions; all else goes into the header.
bool parse_flags(ByteReader& reader, FileHeader& header) {
  const std::uint8_t first = reader.u8();
  const std::uint8_t second = reader.u8();
  const int bit_depth = 8 + (first & 0x0F);
  const int color_space = second >> 4;
  if ((first >> 5) > 5) {
    throw DecodeError("damaged file: pixel_format " + std::to_string(first >> 5) + " is reserved");
  }
  if (bit_depth > kMaxBitDepth) {
    throw DecodeError("damaged file: bit depth " + std::to_string(bit_depth) + " is above 14");
  }
  if (color_space > 4) {
    throw DecodeError("damaged file: color_space " + std::to_string(color_space) + " is reserved");
  }
  header.format.chroma = static_cast<Chroma>(first >> 5);
  header.format.bit_depth = bit_depth;
  header.format.color_space = static_cast<ColorSpace>(color_space);
  header.format.alpha = alpha_from_flags((first & 0x10) != 0, (second & 0x04) != 0);
  header.format.limited_range = (second & 0x02) != 0;
  header.animation = (second & 0x01) != 0;
  if (header.format.chroma == Chroma::gray && color_space != 0) {
    throw DecodeError("damaged file: a gray picture has color_space " +
                      std::to_string(color_space));
  }
  return (second & 0x08) != 0;
}

int parse_side(ByteReader& reader, const char* name) {
  const std::uint32_t side = reader.ue7();
  if (side == 0 || side > static_cast<std::uint32_t>(kMostSide)) {
    throw DecodeError("damaged file: " + std::string(name) + " is " + std::to_string(side));
  }
  return static_cast<int>(side);
}

std::uint32_t checked_u32(std::size_t size, const char* name) {
  if (size > std::numeric_limits<std::uint32_t>::max()) {
    throw EncodeError(std::string(name) + " is larger than 4 GiB");
  }
  return static_cast<std::uint32_t>(size);
}

std::vector<std::uint8_t> extension_bytes(const std::vector<Extension>& extensions) {
  if (extensions.size() > kMaxExtensions) {
    throw EncodeError("there are " + std::to_string(extensions.size()) + " extensions; at most " +
                      std::to_string(kMaxExtensions) + " are allowed");
  }
  std::vector<std::uint8_t> out;
  for (const Extension& extension : extensions) {
    put_ue7(out, extension.tag);
    put_ue7(out, checked_u32(extension.data.size(), "an extension"));
    out.insert(out.end(), extension.data.begin(), extension.data.end());
  }
  return out;
}

}  // namespace

ParsedFile parse_file(ByteSpan file, Extensions extensions) {
  ByteReader reader(file);
  if (file.size < sizeof kMagic || std::memcmp(file.data, kMagic, sizeof kMagic) != 0) {
    throw DecodeError("not a BPG file: it does not start with the bytes 42 50 47 FB");
  }
  reader.take(sizeof kMagic);
  ParsedFile parsed;
  const bool has_extensions = parse_flags(reader, parsed.header);
  parsed.header.format.width = parse_side(reader, "width");
  parsed.header.format.height = parse_side(reader, "height");
  const std::uint32_t picture_data_length = reader.ue7();
  std::vector<FoundExtension> found;
  if (has_extensions) {
    found = parse_extensions(reader.take(reader.ue7()));
  }
  bool has_control = false;
  for (const auto& [tag, data] : found) {
    if (tag == static_cast<std::uint32_t>(ExtensionTag::animation_control)) {
      parsed.header.animation_control = parse_animation_control(data);
      has_control = true;
    }
    if (extensions == Extensions::copied) {
      parsed.header.extensions.push_back({tag, {data.data, data.data + data.size}});
    }
  }
  if (parsed.header.animation && !has_control) {
    throw DecodeError("damaged file: an animation without its control extension");
  }
  ByteReader data(picture_data_length == 0 ? reader.take(reader.left())
                                           : reader.take(picture_data_length));
  if (parsed.header.format.alpha != Alpha::none) {
    parsed.alpha = parse_hevc_header(data.take(data.ue7()));
  }
  parsed.color = parse_hevc_header(data.take(data.ue7()));
  parsed.hevc_data = data.take(data.left());
  if (parsed.hevc_data.size == 0) {
    throw DecodeError("truncated file: there is no HEVC data");
  }
  return parsed;
}

std::vector<std::uint8_t> write_file(const FileHeader& header, const HevcHeader* alpha,
                                     const HevcHeader& color, ByteSpan hevc_data) {
  const Format& f = header.format;
  const bool alpha1 = f.alpha == Alpha::straight || f.alpha == Alpha::premultiplied;
  const bool alpha2 = f.alpha == Alpha::premultiplied || f.alpha == Alpha::w_plane;
  require((alpha != nullptr) == (f.alpha != Alpha::none),
          "an alpha header is needed for an alpha plane, and only then");
  require(f.width > 0 && f.height > 0, "width and height must be positive");

  std::vector<std::uint8_t> body;
  for (const HevcHeader* h : {alpha, &color}) {
    if (h != nullptr) {
      const std::vector<std::uint8_t> bytes = hevc_header_bytes(*h);
      put_ue7(body, checked_u32(bytes.size(), "the HEVC header"));
      body.insert(body.end(), bytes.begin(), bytes.end());
    }
  }

  const std::vector<std::uint8_t> extensions = extension_bytes(header.extensions);
  std::vector<std::uint8_t> out;
  out.reserve(body.size() + hevc_data.size + extensions.size() + 32);
  out.insert(out.end(), std::begin(kMagic), std::end(kMagic));
  const auto bit = [](bool value, int shift) { return value ? 1U << shift : 0U; };
  out.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(f.chroma) << 5 | bit(alpha1, 4) |
                                          static_cast<unsigned>(f.bit_depth - 8)));
  out.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(f.color_space) << 4 |
                                          bit(!extensions.empty(), 3) | bit(alpha2, 2) |
                                          bit(f.limited_range, 1) | bit(header.animation, 0)));
  put_ue7(out, static_cast<std::uint32_t>(f.width));
  put_ue7(out, static_cast<std::uint32_t>(f.height));
  // The real length rather than 0 ("to the end"): a truncated file is then always noticed.
  put_ue7(out, checked_u32(body.size() + hevc_data.size, "the picture data"));
  if (!extensions.empty()) {
    put_ue7(out, checked_u32(extensions.size(), "the extension data"));
    out.insert(out.end(), extensions.begin(), extensions.end());
  }
  out.insert(out.end(), body.begin(), body.end());
  out.insert(out.end(), hevc_data.data, hevc_data.data + hevc_data.size);
  return out;
}

Extension animation_extension(const AnimationControl& control) {
  Extension extension;
  extension.tag = static_cast<std::uint32_t>(ExtensionTag::animation_control);
  put_ue7(extension.data, control.loop_count);
  put_ue7(extension.data, control.period_num);
  put_ue7(extension.data, control.period_den);
  return extension;
}

}  // namespace bpg
