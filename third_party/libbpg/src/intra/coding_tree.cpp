#include "intra/coding_tree.hpp"

#include <algorithm>
#include <utility>

namespace bpg::intra {
namespace {

constexpr int kQpDeltaPrefix = 5;
constexpr int kMaxQpDeltaBits = 8;  // far more than any legal delta has
constexpr int kSameAsLuma = 4;      // intra_chroma_pred_mode
constexpr int kModes = 32;

// Table 8-3: modes of 4:2:2 chroma, whose samples are twice as wide as high.
constexpr std::uint8_t kMode422[kLastMode + 1] = {0,  1,  2,  2,  2,  2,  3,  5,  7,  8,  10, 12,
                                                  13, 15, 17, 18, 19, 20, 21, 22, 23, 23, 24, 24,
                                                  25, 25, 26, 27, 27, 28, 28, 29, 29, 30, 31};

}  // namespace

CodingTree::CodingTree(CodedPicture& picture)
    : picture_(picture),
      s_(picture.sequence),
      pps_(picture.pps),
      frame_(picture.frame),
      contexts_(0) {}

void CodingTree::decode_segment(const Slice& slice, ByteSpan data) {
  if (complete() ||
      picture_.tiling.order[static_cast<std::size_t>(slice.segment_address)] != next_) {
    damaged("a slice is missing or stands where it should not");
  }
  slice_ = slice;
  picture_.slices.push_back(slice);
  if (!slice.dependent) {
    chroma_adjustment_ = {};
  }
  cabac_.start(data);
  for (bool first = true;; first = false) {
    if (complete()) {
      damaged("slice data goes on after the last block of the picture");
    }
    const auto address =
        static_cast<std::size_t>(picture_.tiling.raster[static_cast<std::size_t>(next_)]);
    begin_block(address, first);
    const int x = static_cast<int>(address) % s_.ctbs_across() << s_.ctb;
    const int y = static_cast<int>(address) / s_.ctbs_across() << s_.ctb;
    read_sao(address);
    read_quadtree(x, y, s_.ctb, 0);
    end_block(address);
    if (cabac_.end_of_slice_segment()) {
      break;
    }
    if (ends_substream()) {
      if (!cabac_.end_of_substream()) {
        damaged("a tile or row of blocks does not end where it should");
      }
      cabac_.restart();
    }
  }
  segment_end_ = contexts_;
}

bool CodingTree::starts_tile(std::size_t address) const {
  if (next_ == 0) {
    return true;
  }
  const auto before =
      static_cast<std::size_t>(picture_.tiling.raster[static_cast<std::size_t>(next_ - 1)]);
  return picture_.tiling.tile[address] != picture_.tiling.tile[before];
}

void CodingTree::begin_block(std::size_t address, bool first_in_segment) {
  const bool starts_slice = first_in_segment && !slice_.dependent;
  const bool starts_row = pps_.wavefront && picture_.tiling.row_start[address];
  if (starts_slice || starts_tile(address)) {
    ++region_;
  }
  if (starts_slice || starts_tile(address) || starts_row) {
    last_qp_ = slice_.qp;
  }
  picture_.slice_of[address] = picture_.slices.size() - 1;
  begin_contexts(address, first_in_segment);
}

// 9.3.1.
void CodingTree::begin_contexts(std::size_t address, bool first_in_segment) {
  const bool starts_row = pps_.wavefront && picture_.tiling.row_start[address];
  if (starts_tile(address)) {
    contexts_ = ContextSet(slice_.qp);
  } else if (starts_row) {
    const int size = 1 << s_.ctb;
    const int x = static_cast<int>(address) % s_.ctbs_across() * size;
    const int y = static_cast<int>(address) / s_.ctbs_across() * size;
    const bool available = frame_.available(x + size, y - size, region_) != nullptr;
    contexts_ = available && wavefront_ ? *wavefront_ : ContextSet(slice_.qp);
  } else if (first_in_segment) {
    contexts_ = slice_.dependent && segment_end_ ? *segment_end_ : ContextSet(slice_.qp);
  }
}

void CodingTree::end_block(std::size_t address) {
  // The second block of a row in its tile.
  if (pps_.wavefront && !picture_.tiling.row_start[address] &&
      picture_.tiling.row_start[address - 1]) {
    wavefront_ = contexts_;
  }
  ++next_;
}

bool CodingTree::ends_substream() const {
  if (complete()) {
    return false;
  }
  const auto address =
      static_cast<std::size_t>(picture_.tiling.raster[static_cast<std::size_t>(next_)]);
  return (pps_.tiles && starts_tile(address)) ||
         (pps_.wavefront && picture_.tiling.row_start[address]);
}

bool CodingTree::can_merge(std::size_t address, std::size_t other) const {
  return picture_.tiling.tile[address] == picture_.tiling.tile[other] &&
         picture_.slice_at(other).address == slice_.address;
}

void CodingTree::read_sao(std::size_t address) {
  SaoBlock& block = picture_.sao[address];
  if (!slice_.sao[0] && !slice_.sao[1]) {
    return;
  }
  const auto across = static_cast<std::size_t>(s_.ctbs_across());
  if (address % across > 0 && can_merge(address, address - 1) &&
      cabac_.decision(contexts_.sao_merge[0])) {
    block = picture_.sao[address - 1];
    return;
  }
  if (address >= across && can_merge(address, address - across) &&
      cabac_.decision(contexts_.sao_merge[0])) {
    block = picture_.sao[address - across];
    return;
  }
  for (int plane = 0; plane < s_.planes(); ++plane) {
    if (slice_.sao[static_cast<std::size_t>(plane)]) {
      block[static_cast<std::size_t>(plane)] = read_sao_plane(plane, block[1]);
    }
  }
}

// Cr shares type and edge class with Cb.
SaoPlane CodingTree::read_sao_plane(int plane, const SaoPlane& cb) {
  SaoPlane sao;
  if (plane == 2) {
    sao.type = cb.type;
  } else if (cabac_.decision(contexts_.sao_type[0])) {
    sao.type = cabac_.bypass() ? SaoPlane::kEdge : SaoPlane::kBand;
  }
  if (sao.type == SaoPlane::kOff) {
    return sao;
  }
  const int largest = (1 << (std::min(s_.bit_depth, 10) - 5)) - 1;
  for (std::int16_t& offset : sao.offset) {
    while (offset < largest && cabac_.bypass()) {
      ++offset;
    }
  }
  if (sao.type == SaoPlane::kBand) {
    for (std::int16_t& offset : sao.offset) {
      if (offset != 0 && cabac_.bypass()) {
        offset = static_cast<std::int16_t>(-offset);
      }
    }
    sao.band = static_cast<std::uint8_t>(cabac_.bypass_bits(5));
  } else {
    sao.offset[2] = static_cast<std::int16_t>(-sao.offset[2]);
    sao.offset[3] = static_cast<std::int16_t>(-sao.offset[3]);
    sao.edge_class = plane == 2 ? cb.edge_class : static_cast<std::uint8_t>(cabac_.bypass_bits(2));
  }
  const int scale = 1 << pps_.sao_shift[static_cast<std::size_t>(plane)];
  for (std::int16_t& offset : sao.offset) {
    offset = static_cast<std::int16_t>(offset * scale);
  }
  return sao;
}

bool CodingTree::read_split(int x, int y, int log2, int depth) {
  const int size = 1 << log2;
  if (x + size > s_.width || y + size > s_.height) {
    return log2 > s_.min_cb;
  }
  if (log2 <= s_.min_cb) {
    return false;
  }
  const auto deeper = [this, depth](int nx, int ny) {
    const Unit* unit = frame_.available(nx, ny, region_);
    return unit != nullptr && unit->depth > depth ? 1U : 0U;
  };
  return cabac_.decision(contexts_.split_cu[deeper(x - 1, y) + deeper(x, y - 1)]);
}

void CodingTree::read_quadtree(int x, int y, int log2, int depth) {
  const bool split = read_split(x, y, log2, depth);
  if (log2 >= s_.ctb - pps_.qp_delta_depth) {
    begin_quantisation_group(x, y);
  }
  if (log2 >= s_.ctb - pps_.chroma_qp_depth) {
    chroma_adjustment_read_ = false;
  }
  if (!split) {
    read_coding_unit(x, y, log2, depth);
    return;
  }
  for (int part = 0; part < 4; ++part) {
    const int part_x = x + ((part % 2) << (log2 - 1));
    const int part_y = y + ((part / 2) << (log2 - 1));
    if (part_x < s_.width && part_y < s_.height) {
      read_quadtree(part_x, part_y, log2 - 1, depth + 1);
    }
  }
}

// 8.6.1: what the QP of a group of coding units is predicted from.
void CodingTree::begin_quantisation_group(int x, int y) {
  const int inside = (1 << s_.ctb) - 1;
  const int left = (x & inside) != 0 ? frame_.unit(x - 1, y).qp : last_qp_;
  const int above = (y & inside) != 0 ? frame_.unit(x, y - 1).qp : last_qp_;
  predicted_qp_ = (left + above + 1) >> 1;
  qp_delta_ = 0;
  qp_delta_read_ = false;
}

void CodingTree::update_qp() {
  const int offset = s_.qp_offset();
  qp_ = (predicted_qp_ + qp_delta_ + 52 + 2 * offset) % (52 + offset) - offset;
}

void CodingTree::read_coding_unit(int x, int y, int log2, int depth) {
  CodingUnit cu{x, y, log2};
  const int size = 1 << log2;
  update_qp();
  cu.lossless = pps_.transquant_bypass && cabac_.decision(contexts_.transquant_bypass[0]);
  cu.split = log2 == s_.min_cb && !cabac_.decision(contexts_.part_mode[0]);
  frame_.change_units(x, y, size, [&](Unit& unit) {
    unit.depth = static_cast<std::uint8_t>(depth);
    unit.unfiltered = cu.lossless;
  });
  if (!cu.split && s_.pcm && log2 >= s_.min_pcm && log2 <= s_.max_pcm && cabac_.pcm_flag()) {
    read_pcm_samples(cu);
  } else {
    read_modes(cu);
    const unsigned chroma = s_.chroma_idc == 0 ? 0 : 1;
    read_transform_tree(cu, {x, y, log2, 0, 0, x, y, {1, chroma, chroma}});
  }
  frame_.change_units(x, y, size, [this](Unit& unit) { unit.qp = static_cast<std::int8_t>(qp_); });
  last_qp_ = qp_;
}

void CodingTree::read_pcm_samples(const CodingUnit& cu) {
  const int size = 1 << cu.log2;
  for (int plane = 0; plane < s_.planes(); ++plane) {
    const int depth = plane == 0 ? s_.pcm_depth_luma : s_.pcm_depth_chroma;
    const int x0 = cu.x >> s_.shift_x(plane);
    for (int y = cu.y >> s_.shift_y(plane); y < (cu.y + size) >> s_.shift_y(plane); ++y) {
      std::uint16_t* row = frame_.plane(plane).row(y);
      for (int x = x0; x < (cu.x + size) >> s_.shift_x(plane); ++x) {
        row[x] = static_cast<std::uint16_t>(cabac_.raw_bits(depth) << (s_.bit_depth - depth));
      }
    }
  }
  cabac_.restart();
  frame_.change_units(cu.x, cu.y, size, [this](Unit& unit) {
    unit.region = region_;
    unit.intra_mode = kDc;
    unit.unfiltered = unit.unfiltered || s_.pcm_unfiltered;
  });
  for (int i = 0; i < size; i += 1 << kUnitShift) {
    frame_.unit(cu.x, cu.y + i).left_edge = true;
    frame_.unit(cu.x + i, cu.y).top_edge = true;
  }
}

// 8.4.2: modes of blocks without a mode of their own, and of those in the block row above, count
// as DC.
int CodingTree::candidate_mode(const CodingUnit& cu, int x, int y) const {
  if (x >= cu.x && y >= cu.y) {
    return frame_.unit(x, y).intra_mode;  // another part of the same unit
  }
  const Unit* unit = frame_.available(x, y, region_);
  return unit == nullptr || y < (cu.y >> s_.ctb << s_.ctb) ? kDc : unit->intra_mode;
}

int CodingTree::derive_luma_mode(const CodingUnit& cu, int x, int y, int code,
                                 bool is_candidate) const {
  const int left = candidate_mode(cu, x - 1, y);
  const int above = candidate_mode(cu, x, y - 1);
  std::array<int, 3> candidates{left, above, 0};
  if (left != above) {
    candidates[2] = left != kPlanar && above != kPlanar ? kPlanar
                    : left != kDc && above != kDc       ? kDc
                                                        : kVertical;
  } else if (left < 2) {
    candidates = {kPlanar, kDc, kVertical};
  } else {
    candidates = {left, 2 + (left + 29) % kModes, 2 + (left - 2 + 1) % kModes};
  }
  if (is_candidate) {
    return candidates[static_cast<std::size_t>(code)];
  }
  std::sort(candidates.begin(), candidates.end());
  int mode = code;
  for (const int candidate : candidates) {
    mode += mode >= candidate ? 1 : 0;
  }
  return mode;
}

int CodingTree::read_candidate_index() {
  if (!cabac_.bypass()) {
    return 0;
  }
  return cabac_.bypass() ? 2 : 1;
}

void CodingTree::read_modes(CodingUnit& cu) {
  const std::size_t parts = cu.split ? 4 : 1;
  std::array<bool, 4> is_candidate{};
  for (std::size_t i = 0; i < parts; ++i) {
    is_candidate[i] = cabac_.decision(contexts_.prev_intra_luma_pred[0]);
  }
  const int size = 1 << (cu.log2 - (cu.split ? 1 : 0));
  for (std::size_t i = 0; i < parts; ++i) {
    const int code =
        is_candidate[i] ? read_candidate_index() : static_cast<int>(cabac_.bypass_bits(5));
    const int x = cu.x + (i % 2 != 0 ? size : 0);
    const int y = cu.y + (i / 2 != 0 ? size : 0);
    const int mode = derive_luma_mode(cu, x, y, code, is_candidate[i]);
    frame_.change_units(x, y, size,
                        [mode](Unit& unit) { unit.intra_mode = static_cast<std::uint8_t>(mode); });
  }
  if (s_.chroma_idc == 0) {
    return;
  }
  const std::size_t chroma_parts = s_.chroma_idc == 3 ? parts : 1;
  for (std::size_t i = 0; i < chroma_parts; ++i) {
    read_chroma_mode(cu, i);
  }
  for (std::size_t i = chroma_parts; i < 4; ++i) {
    cu.chroma_mode[i] = cu.chroma_mode[0];
    cu.chroma_follows_luma[i] = cu.chroma_follows_luma[0];
  }
}

void CodingTree::read_chroma_mode(CodingUnit& cu, std::size_t part) {
  constexpr int kFixedModes[4] = {kPlanar, kVertical, kHorizontal, kDc};
  const int code = cabac_.decision(contexts_.chroma_pred_mode[0])
                       ? static_cast<int>(cabac_.bypass_bits(2))
                       : kSameAsLuma;
  const int half = cu.split ? 1 << (cu.log2 - 1) : 0;
  const int luma =
      frame_.unit(cu.x + (part % 2 != 0 ? half : 0), cu.y + (part / 2 != 0 ? half : 0)).intra_mode;
  int mode = luma;
  if (code != kSameAsLuma) {
    mode = kFixedModes[code] == luma ? kLastMode : kFixedModes[code];
  }
  cu.chroma_mode[part] = s_.chroma_idc == 2 ? kMode422[mode] : mode;
  cu.chroma_follows_luma[part] = code == kSameAsLuma;
}

void CodingTree::read_transform_tree(const CodingUnit& cu, TransformNode node) {
  const bool forced = node.log2 > s_.max_tb || (cu.split && node.depth == 0);
  bool split = forced;
  if (!forced && node.log2 > s_.min_tb &&
      node.depth < s_.max_transform_depth + (cu.split ? 1 : 0)) {
    split = cabac_.decision(contexts_.split_transform[static_cast<std::size_t>(5 - node.log2)]);
  }
  if (s_.chroma_idc == 3 || (s_.chroma_idc != 0 && node.log2 > 2)) {
    read_chroma_coded(node, split);
  }
  if (!split) {
    node.coded[0] = cabac_.decision(contexts_.cbf_luma[node.depth == 0 ? 1 : 0]) ? 1 : 0;
    read_transform_unit(cu, node);
    return;
  }
  const int half = 1 << (node.log2 - 1);
  for (int part = 0; part < 4; ++part) {
    read_transform_tree(cu, {node.x + (part % 2) * half, node.y + (part / 2) * half, node.log2 - 1,
                             node.depth + 1, part, node.x, node.y, node.coded});
  }
}

// Coded flags of the parent, where there is one, come in and those of the node go out.
void CodingTree::read_chroma_coded(TransformNode& node, bool split) {
  Context& context = contexts_.cbf_chroma[static_cast<std::size_t>(node.depth)];
  for (const std::size_t plane : {1U, 2U}) {
    if (node.coded[plane] == 0) {
      continue;
    }
    node.coded[plane] = cabac_.decision(context) ? 1 : 0;
    if (s_.chroma_idc == 2 && (!split || node.log2 == 3) && cabac_.decision(context)) {
      node.coded[plane] |= 2;
    }
  }
}

void CodingTree::read_transform_unit(const CodingUnit& cu, const TransformNode& node) {
  const bool chroma_coded = (node.coded[1] | node.coded[2]) != 0;
  if (node.coded[0] != 0 || chroma_coded) {
    read_qp_delta();
    if (chroma_coded && !cu.lossless) {
      read_chroma_qp_adjustment();
    }
  }
  const int size = 1 << node.log2;
  decode_block(cu, {0, node.x, node.y, node.log2}, frame_.unit(node.x, node.y).intra_mode,
               node.coded[0] != 0, 0);
  frame_.change_units(node.x, node.y, size, [this](Unit& unit) { unit.region = region_; });
  for (int i = 0; i < size; i += 1 << kUnitShift) {
    frame_.unit(node.x, node.y + i).left_edge = true;
    frame_.unit(node.x + i, node.y).top_edge = true;
  }
  if (s_.chroma_idc != 0) {
    read_chroma_blocks(cu, node);
  }
}

void CodingTree::read_chroma_blocks(const CodingUnit& cu, const TransformNode& node) {
  // The chroma of four 4x4 blocks stands behind the last of them, unless it is as large as luma.
  const bool shared = s_.chroma_idc != 3 && node.log2 == 2;
  if (shared && node.part != 3) {
    return;
  }
  const int x = shared ? node.parent_x : node.x;
  const int y = shared ? node.parent_y : node.y;
  const int log2 = shared || s_.chroma_idc == 3 ? node.log2 : node.log2 - 1;
  for (const int plane : {1, 2}) {
    decode_chroma_plane(cu, node, plane, x >> s_.shift_x(plane), y >> s_.shift_y(plane), log2);
  }
}

void CodingTree::decode_chroma_plane(const CodingUnit& cu, const TransformNode& node, int plane,
                                     int x, int y, int log2) {
  std::size_t part = 0;
  if (cu.split && s_.chroma_idc == 3) {
    const int half = 1 << (cu.log2 - 1);
    part = (node.x >= cu.x + half ? 1U : 0U) + (node.y >= cu.y + half ? 2U : 0U);
  }
  int res_scale = 0;
  if (pps_.cross_component && node.coded[0] != 0 && cu.chroma_follows_luma[part]) {
    res_scale = read_res_scale(plane);
  }
  const unsigned coded = node.coded[static_cast<std::size_t>(plane)];
  decode_block(cu, {plane, x, y, log2}, cu.chroma_mode[part], (coded & 1) != 0, res_scale);
  if (s_.chroma_idc == 2) {
    decode_block(cu, {plane, x, y + (1 << log2), log2}, cu.chroma_mode[part], (coded & 2) != 0, 0);
  }
}

void CodingTree::read_qp_delta() {
  if (!pps_.qp_delta || qp_delta_read_) {
    return;
  }
  int delta = 0;
  while (delta < kQpDeltaPrefix && cabac_.decision(contexts_.qp_delta[delta == 0 ? 0 : 1])) {
    ++delta;
  }
  if (delta == kQpDeltaPrefix) {
    int bits = 0;
    while (cabac_.bypass()) {
      delta += 1 << bits;
      if (++bits > kMaxQpDeltaBits) {
        damaged("a QP delta is out of range");
      }
    }
    delta += static_cast<int>(cabac_.bypass_bits(bits));
  }
  if (delta != 0 && cabac_.bypass()) {
    delta = -delta;
  }
  const int half_offset = s_.qp_offset() / 2;
  if (delta < -(26 + half_offset) || delta > 25 + half_offset) {
    damaged("a QP delta is out of range");
  }
  qp_delta_ = delta;
  qp_delta_read_ = true;
  update_qp();
}

void CodingTree::read_chroma_qp_adjustment() {
  if (!slice_.chroma_qp_adjust || chroma_adjustment_read_) {
    return;
  }
  chroma_adjustment_read_ = true;
  std::size_t entry = 0;
  if (cabac_.decision(contexts_.chroma_qp_offset_flag[0])) {
    entry = 1;
    while (entry + 1 < pps_.chroma_qp_list.size() &&
           cabac_.decision(contexts_.chroma_qp_offset_index[0])) {
      ++entry;
    }
  }
  chroma_adjustment_ = pps_.chroma_qp_list[entry];
}

// log2_res_scale_abs_plus1 and its sign as a factor of eighths.
int CodingTree::read_res_scale(int plane) {
  const std::size_t chroma = static_cast<std::size_t>(plane) - 1;
  std::size_t log2_plus1 = 0;
  while (log2_plus1 < 4 && cabac_.decision(contexts_.res_scale_abs[4 * chroma + log2_plus1])) {
    ++log2_plus1;
  }
  if (log2_plus1 == 0) {
    return 0;
  }
  const int scale = 1 << (log2_plus1 - 1);
  return cabac_.decision(contexts_.res_scale_sign[chroma]) ? -scale : scale;
}

int CodingTree::plane_qp(int plane) const {
  if (plane == 0) {
    return qp_ + s_.qp_offset();
  }
  const auto i = static_cast<std::size_t>(plane);
  const int index =
      std::clamp(qp_ + slice_.qp_offset[i] + chroma_adjustment_[i], -s_.qp_offset(), 57);
  return chroma_qp(s_.chroma_idc, index) + s_.qp_offset();
}

void CodingTree::decode_block(const CodingUnit& cu, const Block& block, int mode, bool coded,
                              int res_scale) {
  predict_intra(s_, frame_, region_, block, mode, !(s_.implicit_rdpcm && cu.lossless));
  const std::size_t count = std::size_t{1} << (2 * block.log2);
  Residual& residual = block.plane == 0 ? luma_residual_ : residual_;
  if (coded) {
    const ResidualBlock what{block.plane, block.log2, mode, cu.lossless};
    read_residual(cabac_, contexts_, s_, pps_, what, coefficients_);
    reconstruct_residual(s_, what, coefficients_, plane_qp(block.plane), residual);
  } else if (res_scale != 0) {
    std::fill_n(residual.begin(), count, 0);
  }
  if (res_scale != 0) {  // cross-component prediction, 7.3.8.12
    for (std::size_t i = 0; i < count; ++i) {
      residual[i] += (res_scale * luma_residual_[i]) >> 3;
    }
  }
  if (coded || res_scale != 0) {
    add_residual(block, residual);
  }
}

void CodingTree::add_residual(const Block& block, const Residual& residual) {
  const int size = 1 << block.log2;
  const int peak = (1 << s_.bit_depth) - 1;
  std::size_t i = 0;
  for (int y = block.y; y < block.y + size; ++y) {
    std::uint16_t* row = frame_.plane(block.plane).row(y);
    for (int x = block.x; x < block.x + size; ++x) {
      row[x] = static_cast<std::uint16_t>(std::clamp(row[x] + residual[i++], 0, peak));
    }
  }
}

}  // namespace bpg::intra
