#pragma once

#include <array>
#include <cstdint>

#include "intra/cabac.hpp"

namespace bpg::intra {

/// Everything that adapts while slice data of an I slice is read: the context variables of ITU-T
/// H.265 9.3.2 and the Rice statistics of persistent_rice_adaptation.
struct ContextSet {
  std::array<Context, 1> sao_merge;
  std::array<Context, 1> sao_type;
  std::array<Context, 3> split_cu;
  std::array<Context, 1> transquant_bypass;
  std::array<Context, 1> part_mode;
  std::array<Context, 1> prev_intra_luma_pred;
  std::array<Context, 1> chroma_pred_mode;
  std::array<Context, 3> split_transform;
  std::array<Context, 2> cbf_luma;
  std::array<Context, 5> cbf_chroma;
  std::array<Context, 2> qp_delta;
  std::array<Context, 1> chroma_qp_offset_flag;
  std::array<Context, 1> chroma_qp_offset_index;
  std::array<Context, 2> transform_skip;
  std::array<Context, 18> last_x;
  std::array<Context, 18> last_y;
  std::array<Context, 4> coded_sub_block;
  std::array<Context, 44> significant;  ///< 42 and 43: luma and chroma with transform_skip_context
  std::array<Context, 24> greater1;
  std::array<Context, 6> greater2;
  std::array<Context, 8> res_scale_abs;
  std::array<Context, 2> res_scale_sign;
  std::array<std::uint8_t, 4> rice_statistics;

  /// The values at the start of an I slice of this luma QP.
  explicit ContextSet(int slice_qp);
};

}  // namespace bpg::intra
