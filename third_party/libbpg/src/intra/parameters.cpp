#include "intra/parameters.hpp"

#include <algorithm>
#include <limits>

#include "bits.hpp"

namespace bpg::intra {
namespace {

constexpr int kMaxLog2TransformBlock = 5;
constexpr std::size_t kMaxParameterBytes = 64 * 1024;
constexpr std::uint32_t kMaxTilesAcross = 1024;

// Bit positions in HevcHeader::range_flags.
constexpr unsigned kRotation = 1U << 8;
constexpr unsigned kTransformSkipContext = 1U << 7;
constexpr unsigned kImplicitRdpcm = 1U << 6;
constexpr unsigned kSmoothingDisabled = 1U << 3;
constexpr unsigned kPersistentRice = 1U << 1;
constexpr unsigned kAllowed =
    kRotation | kTransformSkipContext | kImplicitRdpcm | kSmoothingDisabled | kPersistentRice;

int rounded_up(int side, int log2_block) {
  const std::int64_t mask = (std::int64_t{1} << log2_block) - 1;
  const std::int64_t rounded = (side + mask) & ~mask;
  if (side <= 0 || rounded > std::numeric_limits<int>::max()) {
    damaged("a side of " + std::to_string(side) + " samples");
  }
  return static_cast<int>(rounded);
}

void check_sequence(const Sequence& s) {
  const bool blocks = s.min_cb >= 3 && s.ctb >= 4 && s.ctb <= 6 && s.min_tb >= 2 &&
                      s.min_tb < s.min_cb && s.max_tb <= std::min(s.ctb, kMaxLog2TransformBlock) &&
                      s.max_transform_depth >= 0 && s.max_transform_depth <= s.ctb - s.min_tb;
  const bool pcm = !s.pcm || (s.min_pcm >= 3 && s.max_pcm <= std::min(s.ctb, 5) &&
                              s.pcm_depth_luma <= s.bit_depth && s.pcm_depth_chroma <= s.bit_depth);
  if (!blocks || !pcm) {
    damaged("HEVC block sizes contradict each other");
  }
}

int bounded(std::int64_t value, int low, int high, const char* name) {
  if (value < low || value > high) {
    damaged("PPS field " + std::string(name) + " is " + std::to_string(value) + ", not " +
            std::to_string(low) + ".." + std::to_string(high));
  }
  return static_cast<int>(value);
}

std::vector<std::uint32_t> tile_sizes(BitReader& r, std::uint32_t count, bool uniform) {
  std::vector<std::uint32_t> sizes(count);
  for (std::size_t i = 0; !uniform && i + 1 < sizes.size(); ++i) {
    sizes[i] = r.ue();
    bounded(sizes[i], 0, std::numeric_limits<int>::max() - 1, "tile size");
    ++sizes[i];
  }
  return sizes;
}

void parse_tiles(BitReader& r, PictureParameters& pps) {
  const std::uint32_t columns = r.ue();
  const std::uint32_t rows = r.ue();
  bounded(columns, 0, kMaxTilesAcross - 1, "num_tile_columns_minus1");
  bounded(rows, 0, kMaxTilesAcross - 1, "num_tile_rows_minus1");
  pps.uniform_tiles = r.flag();
  pps.tile_widths = tile_sizes(r, columns + 1, pps.uniform_tiles);
  pps.tile_heights = tile_sizes(r, rows + 1, pps.uniform_tiles);
  pps.filter_across_tiles = r.flag();
}

void parse_deblocking_control(BitReader& r, PictureParameters& pps) {
  pps.deblocking_override = r.flag();
  pps.deblocking.disabled = r.flag();
  if (!pps.deblocking.disabled) {
    pps.deblocking.beta_offset = bounded(r.se(), -6, 6, "pps_beta_offset_div2");
    pps.deblocking.tc_offset = bounded(r.se(), -6, 6, "pps_tc_offset_div2");
  }
}

void parse_range_extension(BitReader& r, PictureParameters& pps) {
  if (pps.transform_skip) {
    pps.max_transform_skip = 2 + bounded(r.ue(), 0, 3, "log2_max_transform_skip_block_size_minus2");
  }
  pps.cross_component = r.flag();
  pps.chroma_qp_lists = r.flag();
  if (pps.chroma_qp_lists) {
    pps.chroma_qp_depth = bounded(r.ue(), 0, 3, "diff_cu_chroma_qp_offset_depth");
    const int length = 1 + bounded(r.ue(), 0, 5, "chroma_qp_offset_list_len_minus1");
    pps.chroma_qp_list.resize(static_cast<std::size_t>(length) + 1);
    for (std::size_t i = 1; i < pps.chroma_qp_list.size(); ++i) {
      pps.chroma_qp_list[i][1] = bounded(r.se(), -12, 12, "cb_qp_offset_list");
      pps.chroma_qp_list[i][2] = bounded(r.se(), -12, 12, "cr_qp_offset_list");
    }
  }
  pps.sao_shift[0] = bounded(r.ue(), 0, 6, "log2_sao_offset_scale_luma");
  pps.sao_shift[1] = bounded(r.ue(), 0, 6, "log2_sao_offset_scale_chroma");
  pps.sao_shift[2] = pps.sao_shift[1];
}

void parse_extensions(BitReader& r, PictureParameters& pps) {
  if (!r.flag()) {
    return;
  }
  const bool range = r.flag();
  if (r.bits(7) != 0) {
    damaged("its PPS has an extension that BPG does not know");
  }
  if (range) {
    parse_range_extension(r, pps);
  }
}

// Where tiles begin along one side, and the side's end.
std::vector<int> tile_bounds(const std::vector<std::uint32_t>& sizes, bool uniform, int ctbs) {
  const auto count = static_cast<std::int64_t>(sizes.size());
  if (count > ctbs) {
    damaged("more tiles than coding tree blocks");
  }
  std::vector<int> bounds;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    at = uniform ? i * ctbs / count : at;
    bounds.push_back(static_cast<int>(at));
    at += sizes[static_cast<std::size_t>(i)];
    if (at > ctbs - (i + 1 < count ? 1 : 0)) {
      damaged("its tiles are larger than the picture");
    }
  }
  bounds.push_back(ctbs);
  return bounds;
}

}  // namespace

Sequence::Sequence(const StreamFormat& format)
    : chroma_idc(format.chroma_format_idc), bit_depth(format.bit_depth) {
  const HevcHeader& h = format.header;
  const unsigned range = h.sps_extension && h.range_extension ? h.range_flags : 0U;
  if ((range & ~kAllowed) != 0) {
    damaged("a range extension is switched on that BPG does not allow");
  }
  min_cb = h.log2_min_cb;
  ctb = min_cb + h.log2_diff_max_min_cb;
  min_tb = h.log2_min_tb;
  max_tb = min_tb + h.log2_diff_max_min_tb;
  max_transform_depth = h.max_transform_hierarchy_depth_intra;
  sao = h.sao;
  strong_smoothing = h.strong_intra_smoothing;
  pcm = h.pcm;
  pcm_depth_luma = h.pcm_bit_depth_luma;
  pcm_depth_chroma = h.pcm_bit_depth_chroma;
  min_pcm = h.log2_min_pcm_cb;
  max_pcm = min_pcm + h.log2_diff_max_min_pcm_cb;
  pcm_unfiltered = h.pcm && h.pcm_loop_filter_disabled;
  rotate_transform_skip = (range & kRotation) != 0;
  transform_skip_context = (range & kTransformSkipContext) != 0;
  implicit_rdpcm = (range & kImplicitRdpcm) != 0;
  smoothing_disabled = (range & kSmoothingDisabled) != 0;
  persistent_rice = (range & kPersistentRice) != 0;
  check_sequence(*this);
  width = rounded_up(format.width, min_cb);
  height = rounded_up(format.height, min_cb);
  if (static_cast<std::int64_t>(ctbs_across()) * ctbs_down() > std::numeric_limits<int>::max()) {
    damaged("a picture of " + std::to_string(width) + "x" + std::to_string(height) + " samples");
  }
}

PictureParameters parse_picture_parameters(ByteSpan nal) {
  const std::vector<std::uint8_t> payload = unescape_nal(nal, kMaxParameterBytes);
  BitReader r({payload.data(), payload.size()});
  PictureParameters pps;
  pps.id = r.ue();
  bounded(pps.id, 0, 63, "pps_pic_parameter_set_id");
  bounded(r.ue(), 0, 0, "pps_seq_parameter_set_id");
  pps.dependent_segments = r.flag();
  pps.output_flag = r.flag();
  pps.extra_header_bits = static_cast<int>(r.bits(3));
  pps.sign_hiding = r.flag();
  r.flag();  // cabac_init_present_flag
  r.ue();    // default numbers of reference pictures
  r.ue();
  pps.init_qp = 26 + bounded(r.se(), -26 - 36, 25, "init_qp_minus26");
  r.flag();  // constrained_intra_pred_flag: nothing is inter here
  pps.transform_skip = r.flag();
  pps.qp_delta = r.flag();
  if (pps.qp_delta) {
    pps.qp_delta_depth = bounded(r.ue(), 0, 3, "diff_cu_qp_delta_depth");
  }
  pps.qp_offset[1] = bounded(r.se(), -12, 12, "pps_cb_qp_offset");
  pps.qp_offset[2] = bounded(r.se(), -12, 12, "pps_cr_qp_offset");
  pps.slice_chroma_qp_offsets = r.flag();
  r.bits(2);  // weighted prediction
  pps.transquant_bypass = r.flag();
  pps.tiles = r.flag();
  pps.wavefront = r.flag();
  if (pps.tiles) {
    parse_tiles(r, pps);
  }
  pps.filter_across_slices = r.flag();
  if (r.flag()) {
    parse_deblocking_control(r, pps);
  }
  if (r.flag()) {
    damaged("its PPS has scaling lists, which BPG does not allow");
  }
  r.flag();  // lists_modification_present_flag
  r.ue();    // log2_parallel_merge_level_minus2
  pps.header_extension = r.flag();
  parse_extensions(r, pps);
  return pps;
}

void check_parameters(const PictureParameters& pps, const Sequence& s) {
  const int depths = s.ctb - s.min_cb;
  bounded(pps.qp_delta_depth, 0, depths, "diff_cu_qp_delta_depth");
  bounded(pps.chroma_qp_depth, 0, depths, "diff_cu_chroma_qp_offset_depth");
  bounded(pps.init_qp, -s.qp_offset(), 51, "init_qp_minus26 + 26");
  if (s.chroma_idc != 3 && pps.cross_component) {
    damaged("cross-component prediction in a picture that is not 4:4:4");
  }
  if (s.chroma_idc == 0 && pps.chroma_qp_lists) {
    damaged("chroma QP offsets in a picture without chroma");
  }
  for (const int shift : pps.sao_shift) {
    bounded(shift, 0, std::max(0, s.bit_depth - 10), "log2_sao_offset_scale");
  }
}

Tiling::Tiling(const PictureParameters& pps, const Sequence& s) {
  const int across = s.ctbs_across();
  const std::vector<int> columns = tile_bounds(pps.tile_widths, pps.uniform_tiles, across);
  const std::vector<int> rows = tile_bounds(pps.tile_heights, pps.uniform_tiles, s.ctbs_down());
  const auto count = static_cast<std::size_t>(s.ctbs());
  order.resize(count);
  tile.resize(count);
  row_start.resize(count);
  int id = 0;
  for (std::size_t row = 0; row + 1 < rows.size(); ++row) {
    for (std::size_t column = 0; column + 1 < columns.size(); ++column, ++id) {
      for (int y = rows[row]; y < rows[row + 1]; ++y) {
        for (int x = columns[column]; x < columns[column + 1]; ++x) {
          const auto address = static_cast<std::size_t>(y * across + x);
          order[address] = static_cast<int>(raster.size());
          tile[address] = id;
          row_start[address] = x == columns[column];
          raster.push_back(static_cast<int>(address));
        }
      }
    }
  }
}

}  // namespace bpg::intra
