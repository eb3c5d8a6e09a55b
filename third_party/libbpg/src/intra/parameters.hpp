#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/error.hpp"
#include "hevc_decoder.hpp"

namespace bpg::intra {

[[noreturn]] inline void damaged(const std::string& what) {
  throw DecodeError("damaged file: " + what);
}

/// The SPS that a BPG header implies, names after ITU-T H.265 7.4.3.2. Sizes are log2.
struct Sequence {
  /// Throws DecodeError for fields that contradict each other or that BPG does not allow.
  explicit Sequence(const StreamFormat& format);

  int width;  ///< luma samples, whole coding blocks
  int height;
  int chroma_idc;
  int bit_depth;
  int min_cb;
  int ctb;
  int min_tb;
  int max_tb;
  int max_transform_depth;
  bool sao;
  bool strong_smoothing;
  bool pcm;
  int pcm_depth_luma;
  int pcm_depth_chroma;
  int min_pcm;
  int max_pcm;
  bool pcm_unfiltered;
  bool rotate_transform_skip;
  bool transform_skip_context;
  bool implicit_rdpcm;
  bool smoothing_disabled;
  bool persistent_rice;

  [[nodiscard]] int planes() const { return chroma_idc == 0 ? 1 : 3; }
  [[nodiscard]] int shift_x(int plane) const {
    return plane > 0 && (chroma_idc == 1 || chroma_idc == 2) ? 1 : 0;
  }
  [[nodiscard]] int shift_y(int plane) const { return plane > 0 && chroma_idc == 1 ? 1 : 0; }
  [[nodiscard]] int ctbs_across() const { return (width + (1 << ctb) - 1) >> ctb; }
  [[nodiscard]] int ctbs_down() const { return (height + (1 << ctb) - 1) >> ctb; }
  [[nodiscard]] int ctbs() const { return ctbs_across() * ctbs_down(); }
  [[nodiscard]] int qp_offset() const { return 6 * (bit_depth - 8); }
};

struct Deblocking {
  bool disabled = false;
  int beta_offset = 0;  ///< halved, as coded
  int tc_offset = 0;
};

/// ITU-T H.265 7.3.2.3 with its range extension; inter fields are read and dropped.
struct PictureParameters {
  std::uint32_t id = 0;
  bool dependent_segments = false;
  bool output_flag = false;
  int extra_header_bits = 0;
  bool sign_hiding = false;
  int init_qp = 26;
  bool transform_skip = false;
  bool qp_delta = false;
  int qp_delta_depth = 0;
  std::array<int, 3> qp_offset{};  ///< by plane; luma's is 0
  bool slice_chroma_qp_offsets = false;
  bool transquant_bypass = false;
  bool tiles = false;
  bool wavefront = false;
  bool uniform_tiles = true;
  std::vector<std::uint32_t> tile_widths{
      0};  ///< in CTBs, all but the last; sizes count when uniform
  std::vector<std::uint32_t> tile_heights{0};
  bool filter_across_tiles = true;
  bool filter_across_slices = false;
  bool deblocking_override = false;
  Deblocking deblocking;
  bool header_extension = false;
  int max_transform_skip = 2;
  bool cross_component = false;
  bool chroma_qp_lists = false;
  int chroma_qp_depth = 0;
  std::vector<std::array<int, 3>> chroma_qp_list;  ///< entry 0: nothing; by plane
  std::array<int, 3> sao_shift{};                  ///< by plane
};

/// Reads a PPS NAL unit. Throws DecodeError, also for scaling lists, which BPG does not have, and
/// for extensions other than range extensions.
[[nodiscard]] PictureParameters parse_picture_parameters(ByteSpan nal);

/// Throws DecodeError when a PPS asks for what the sequence's block sizes or depth do not allow.
void check_parameters(const PictureParameters& pps, const Sequence& sequence);

/// How a picture's coding tree blocks are divided into tiles and in what order they are coded.
struct Tiling {
  /// Throws DecodeError when the tiles do not fit the picture.
  Tiling(const PictureParameters& pps, const Sequence& sequence);

  std::vector<int> raster;      ///< coding order to raster address
  std::vector<int> order;       ///< raster address to coding order
  std::vector<int> tile;        ///< raster address to tile
  std::vector<bool> row_start;  ///< raster address: first block of a row within its tile
};

}  // namespace bpg::intra
