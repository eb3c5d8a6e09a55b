#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "bpg/qp_map.hpp"

namespace npp {

/// A picture's map of QP offsets in memory of its own: it is small, and nobody can change it while
/// threads work.
struct OwnedQpMap {
  std::vector<float> offsets;
  int width = 0;
  int height = 0;

  [[nodiscard]] bpg::QpMapView view() const { return {offsets.data(), width, height}; }
};

/// One entry a picture from a list of None or C-contiguous float32 arrays (height, width); no list
/// means no maps. Throws EncodeError for other arrays and another length.
std::vector<std::optional<OwnedQpMap>> to_qp_maps(const std::optional<pybind11::list>& maps,
                                                  std::size_t count);

/// The map as the encoder takes it.
std::optional<bpg::QpMapView> view_of(const std::optional<OwnedQpMap>& map);

}  // namespace npp
