#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "errors.hpp"
#include "jobs.hpp"
#include "options.hpp"
#include "pool.hpp"

namespace py = pybind11;

namespace {

py::dict build_config() {
  const bpg::X265Info x265 = bpg::x265_info();
  py::dict config;
  config["x265_version"] = x265.version;
  config["x265_build"] = x265.build;
  config["x265_bit_depths"] = x265.bit_depths;
  config["x265_linkage"] = NPP_X265_LINKAGE;
  config["libavcodec_version"] = bpg::libavcodec_version();
  config["compiler"] = __VERSION__;
  return config;
}

}  // namespace

PYBIND11_MODULE(_bpg, module) {
  module.doc() = "The BPG codec on tensor memory. Internal: use the functions of npp.";
  npp::bind_errors(module);
  npp::bind_options(module);
  npp::bind_batch_encode(module);
  npp::bind_batch_decode(module);
  npp::bind_animation(module);
  module.def("build_config", &build_config);
  // Threads that still run while the interpreter goes away would touch memory that is gone.
  py::module_::import("atexit").attr("register")(py::cpp_function([] {
    npp::park_waiting_threads();
    const py::gil_scoped_release release;
    npp::Pool::instance().shut_down();
  }));
}
