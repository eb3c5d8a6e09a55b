#include "qp_maps.hpp"

#include <limits>
#include <string>

#include "bpg/error.hpp"

namespace py = pybind11;

namespace npp {
namespace {

OwnedQpMap to_qp_map(const py::handle& object, const std::string& name) {
  using Array = py::array_t<float, py::array::c_style>;
  if (!py::isinstance<Array>(object) || py::reinterpret_borrow<py::array>(object).ndim() != 2) {
    throw bpg::EncodeError(name + " must be None or a C-contiguous float32 array (height, width)");
  }
  const auto array = py::reinterpret_borrow<Array>(object);
  constexpr py::ssize_t kMost = std::numeric_limits<int>::max();
  if (array.shape(0) > kMost || array.shape(1) > kMost) {
    throw bpg::EncodeError(name + " has more than 2^31 - 1 offsets along one side");
  }
  OwnedQpMap map;
  map.height = static_cast<int>(array.shape(0));
  map.width = static_cast<int>(array.shape(1));
  map.offsets.assign(array.data(), array.data() + array.size());
  return map;
}

}  // namespace

std::vector<std::optional<OwnedQpMap>> to_qp_maps(const std::optional<py::list>& maps,
                                                  std::size_t count) {
  std::vector<std::optional<OwnedQpMap>> out(count);
  if (!maps) {
    return out;
  }
  if (maps->size() != count) {
    throw bpg::EncodeError("qp_maps must have one entry for each of " + std::to_string(count) +
                           " pictures, not " + std::to_string(maps->size()));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const py::object entry = (*maps)[i];
    if (!entry.is_none()) {
      out[i] = to_qp_map(entry, "qp_maps[" + std::to_string(i) + "]");
    }
  }
  return out;
}

std::optional<bpg::QpMapView> view_of(const std::optional<OwnedQpMap>& map) {
  return map ? std::optional<bpg::QpMapView>(map->view()) : std::nullopt;
}

}  // namespace npp
