#include "block_qps.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "bpg/error.hpp"
#include "bpg/options.hpp"

namespace bpg {
namespace {

const float& at(const QpMapView& map, int x, int y) {
  return map.offsets[static_cast<std::ptrdiff_t>(y) * map.width + x];
}

// To the nearest whole number, halves to the even one, whatever rounding mode the process is in.
double to_whole(double value) { return value - std::remainder(value, 1.0); }

float whole_offset(float offset, int slice_qp, int highest_qp) {
  const double qp =
      std::clamp(slice_qp + to_whole(offset), double{kMinQp}, static_cast<double>(highest_qp));
  return static_cast<float>(qp - slice_qp);
}

}  // namespace

void check_qp_map(const QpMapView& map, int width, int height) {
  const int across = qp_map_size(width);
  const int down = qp_map_size(height);
  if (map.offsets == nullptr || map.width != across || map.height != down) {
    throw EncodeError("qp_map must have " + std::to_string(down) + "x" + std::to_string(across) +
                      " offsets, one for each 16x16 block of a picture " + std::to_string(height) +
                      " high and " + std::to_string(width) + " wide, not " +
                      std::to_string(map.height) + "x" + std::to_string(map.width));
  }
  for (int y = 0; y < down; ++y) {
    for (int x = 0; x < across; ++x) {
      if (!std::isfinite(at(map, x, y))) {
        throw EncodeError("qp_map must be finite, not " + std::to_string(at(map, x, y)) +
                          " in row " + std::to_string(y) + ", column " + std::to_string(x));
      }
    }
  }
}

std::vector<float> block_offsets(const QpMapView& map, int slice_qp, int highest_qp,
                                 int coded_width, int coded_height) {
  const int across = qp_map_size(coded_width);
  const int down = qp_map_size(coded_height);
  std::vector<float> offsets(static_cast<std::size_t>(across) * static_cast<std::size_t>(down));
  if (map.offsets == nullptr) {
    return offsets;
  }
  std::size_t i = 0;
  for (int y = 0; y < down; ++y) {
    for (int x = 0; x < across; ++x) {
      const float offset = at(map, std::min(x, map.width - 1), std::min(y, map.height - 1));
      offsets[i++] = whole_offset(offset, slice_qp, highest_qp);
    }
  }
  return offsets;
}

}  // namespace bpg
