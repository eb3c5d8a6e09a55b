#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bpg/picture.hpp"

namespace bpg {

/// Bytes in somebody else's memory.
struct ByteSpan {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
};

/// Extension tags of the BPG specification. Others are kept and ignored.
enum class ExtensionTag : std::uint32_t {
  exif = 1,
  icc_profile = 2,
  xmp = 3,
  thumbnail = 4,
  animation_control = 5,
};

struct Extension {
  std::uint32_t tag = 0;
  std::vector<std::uint8_t> data;
};

/// Contents of extension 5. A frame lasts `ticks * period_num / period_den` seconds.
struct AnimationControl {
  std::uint32_t loop_count = 0;  ///< 0: for ever
  std::uint32_t period_num = 1;
  std::uint32_t period_den = 25;
};

/// Everything before the HEVC data of a file.
struct FileHeader {
  Format format;
  bool animation = false;
  AnimationControl animation_control;
  std::vector<Extension> extensions;  ///< all of them, tag 5 included, in file order
};

/// The fields of the SPS that a BPG file does carry.
struct HevcHeader {
  int log2_min_cb = 3;
  int log2_diff_max_min_cb = 0;
  int log2_min_tb = 2;
  int log2_diff_max_min_tb = 0;
  int max_transform_hierarchy_depth_intra = 0;
  bool sao = false;
  bool pcm = false;
  int pcm_bit_depth_luma = 8;
  int pcm_bit_depth_chroma = 8;
  int log2_min_pcm_cb = 3;
  int log2_diff_max_min_pcm_cb = 0;
  bool pcm_loop_filter_disabled = false;
  bool strong_intra_smoothing = false;
  bool sps_extension = false;
  bool range_extension = false;
  std::uint8_t extension_7bits = 0;
  /// The nine range extension flags in SPS order, first flag in bit 8.
  std::uint16_t range_flags = 0;

  [[nodiscard]] int min_cb_size() const { return 1 << log2_min_cb; }
};

/// One NAL unit without its start code.
struct Nal {
  ByteSpan bytes;
  int type = 0;
  int layer = 0;
};

/// What becomes of a file's extensions while it is parsed. They are checked in any case.
enum class Extensions : std::uint8_t {
  copied,    ///< into the header
  left_out,  ///< of the header; only the animation's control fields are read
};

/// A parsed file. Spans point into the bytes that were parsed.
struct ParsedFile {
  FileHeader header;
  HevcHeader color;
  HevcHeader alpha;  ///< only meaningful when format.alpha is not none
  ByteSpan hevc_data;
};

/// Parses container and HEVC headers. Throws DecodeError.
[[nodiscard]] ParsedFile parse_file(ByteSpan file, Extensions extensions = Extensions::copied);

/// Splits HEVC data at its start codes; the first one is absent, as BPG drops it. Throws
/// DecodeError.
[[nodiscard]] std::vector<Nal> split_nals(ByteSpan hevc_data);

/// How long each colour frame is shown, in frame periods, from the NAL units alone: its size is
/// the number of frames. Nothing is decoded.
[[nodiscard]] std::vector<std::uint32_t> frame_ticks(const std::vector<Nal>& nals);

/// The extension that carries an animation's control fields.
[[nodiscard]] Extension animation_extension(const AnimationControl& control);

/// Writes a whole file. `alpha` is null without an alpha plane; `hevc_data` starts without a start
/// code. Throws EncodeError when a field does not fit the format.
[[nodiscard]] std::vector<std::uint8_t> write_file(const FileHeader& header,
                                                   const HevcHeader* alpha, const HevcHeader& color,
                                                   ByteSpan hevc_data);

}  // namespace bpg
