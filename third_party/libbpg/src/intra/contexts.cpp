#include "intra/contexts.hpp"

#include <algorithm>

namespace bpg::intra {
namespace {

template <std::size_t N>
using InitValues = std::array<std::uint8_t, N>;

// Tables 9-5 to 9-37 for initType 0.
constexpr InitValues<18> kLast = {110, 110, 124, 125, 140, 153, 125, 127, 140,
                                  109, 111, 143, 127, 111, 79,  108, 123, 63};
constexpr InitValues<44> kSignificant = {111, 111, 125, 110, 110, 94,  124, 108, 124, 107, 125,
                                         141, 179, 153, 125, 107, 125, 141, 179, 153, 125, 107,
                                         125, 141, 179, 153, 125, 140, 139, 182, 182, 152, 136,
                                         152, 136, 153, 136, 139, 111, 136, 139, 111, 141, 111};
constexpr InitValues<24> kGreater1 = {140, 92,  137, 138, 140, 152, 138, 139, 153, 74,  149, 92,
                                      139, 107, 122, 152, 140, 179, 166, 182, 140, 227, 122, 197};

// 9.3.2.2.
Context initial(int value, int slice_qp) {
  const int slope = (value >> 4) * 5 - 45;
  const int offset = ((value & 15) << 3) - 16;
  // An arithmetic shift, as the standard has it.
  const int state = std::clamp(((slope * std::clamp(slice_qp, 0, 51)) >> 4) + offset, 1, 126);
  const bool mps = state > 63;
  return {static_cast<std::uint8_t>(mps ? state - 64 : 63 - state), static_cast<std::uint8_t>(mps)};
}

template <std::size_t N>
std::array<Context, N> initial(const InitValues<N>& values, int slice_qp) {
  std::array<Context, N> contexts;
  std::transform(values.begin(), values.end(), contexts.begin(),
                 [slice_qp](int value) { return initial(value, slice_qp); });
  return contexts;
}

template <std::size_t N>
std::array<Context, N> all_initial(int value, int slice_qp) {
  std::array<Context, N> contexts;
  contexts.fill(initial(value, slice_qp));
  return contexts;
}

}  // namespace

ContextSet::ContextSet(int qp)
    : sao_merge(all_initial<1>(153, qp)),
      sao_type(all_initial<1>(200, qp)),
      split_cu(initial<3>({139, 141, 157}, qp)),
      transquant_bypass(all_initial<1>(154, qp)),
      part_mode(all_initial<1>(184, qp)),
      prev_intra_luma_pred(all_initial<1>(184, qp)),
      chroma_pred_mode(all_initial<1>(63, qp)),
      split_transform(initial<3>({153, 138, 138}, qp)),
      cbf_luma(initial<2>({111, 141}, qp)),
      cbf_chroma(initial<5>({94, 138, 182, 154, 154}, qp)),
      qp_delta(all_initial<2>(154, qp)),
      chroma_qp_offset_flag(all_initial<1>(154, qp)),
      chroma_qp_offset_index(all_initial<1>(154, qp)),
      transform_skip(all_initial<2>(139, qp)),
      last_x(initial(kLast, qp)),
      last_y(initial(kLast, qp)),
      coded_sub_block(initial<4>({91, 171, 134, 141}, qp)),
      significant(initial(kSignificant, qp)),
      greater1(initial(kGreater1, qp)),
      greater2(initial<6>({138, 153, 136, 167, 152, 152}, qp)),
      res_scale_abs(all_initial<8>(154, qp)),
      res_scale_sign(all_initial<2>(154, qp)),
      rice_statistics{} {}

}  // namespace bpg::intra
