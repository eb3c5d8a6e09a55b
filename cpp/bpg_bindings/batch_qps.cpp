#include "batch_qps.hpp"

#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "bpg/error.hpp"

namespace py = pybind11;

namespace npp {
namespace {

BatchQps make_batch_qps(const std::vector<int>& qp, const std::vector<int>& alpha_qp,
                        const std::optional<py::list>& qp_maps) {
  if (alpha_qp.size() != qp.size()) {
    throw bpg::EncodeError("BatchQps: alpha_qp has " + std::to_string(alpha_qp.size()) +
                           " values for " + std::to_string(qp.size()) + " pictures");
  }
  std::vector<std::optional<OwnedQpMap>> maps = to_qp_maps(qp_maps, qp.size());
  BatchQps batch;
  batch.pictures.reserve(qp.size());
  for (std::size_t i = 0; i < qp.size(); ++i) {
    batch.pictures.push_back({{qp[i], alpha_qp[i]}, std::move(maps[i])});
  }
  return batch;
}

}  // namespace

void BatchQps::check_count(const char* caller, std::size_t count) const {
  if (pictures.size() != count) {
    throw bpg::EncodeError(std::string(caller) + ": qps are for " +
                           std::to_string(pictures.size()) + " pictures, and there are " +
                           std::to_string(count));
  }
}

void bind_batch_qps(py::module_& module) {
  py::class_<BatchQps>(module, "BatchQps")
      .def(py::init(&make_batch_qps), py::arg("qp"), py::arg("alpha_qp"),
           py::arg("qp_maps") = py::none());
}

}  // namespace npp
