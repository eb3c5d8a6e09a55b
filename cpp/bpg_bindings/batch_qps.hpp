#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "bpg/encoder.hpp"
#include "qp_maps.hpp"

namespace npp {

/// How finely one picture is quantised.
struct QuantisedPicture {
  bpg::PictureQp qp;
  std::optional<OwnedQpMap> map;
};

/// How finely each picture of a batch, or each frame of an animation, is quantised.
struct BatchQps {
  std::vector<QuantisedPicture> pictures;

  /// Throws EncodeError, which names the caller, where there are not so many of them.
  void check_count(const char* caller, std::size_t count) const;
};

/// Binds BatchQps, which is made of qp, alpha_qp and perhaps qp_maps with an entry each.
void bind_batch_qps(pybind11::module_& module);

}  // namespace npp
