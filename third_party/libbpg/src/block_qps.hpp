#pragma once

#include <vector>

#include "bpg/qp_map.hpp"

namespace bpg {

/// Throws EncodeError when a map has not one finite offset for each block of the picture.
void check_qp_map(const QpMapView& map, int width, int height);

/// What x265 wants to know: whole offsets from `slice_qp` that lead to 0..highest_qp, for every
/// 16x16 block of a coded size of at least the picture's. Blocks outside the map repeat its edge. A
/// map without offsets counts as zeros.
[[nodiscard]] std::vector<float> block_offsets(const QpMapView& map, int slice_qp, int highest_qp,
                                               int coded_width, int coded_height);

}  // namespace bpg
