#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "batch_qps.hpp"
#include "bindings.hpp"
#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "errors.hpp"
#include "interpreter.hpp"
#include "npp_commit.hpp"
#include "options.hpp"
#include "outcomes.hpp"
#include "pool.hpp"

namespace py = pybind11;

namespace {

py::dict build_config() {
  const bpg::X265Info x265 = bpg::x265_info();
  py::dict config;
  config["npp_commit"] = NPP_COMMIT;
  config["x265_version"] = x265.version;
  config["x265_build"] = x265.build;
  config["x265_bit_depths"] = x265.bit_depths;
  config["x265_linkage"] = NPP_X265_LINKAGE;
  config["libavcodec_version"] = bpg::libavcodec_version();
  config["libavcodec_linkage"] = NPP_LIBAVCODEC_LINKAGE;
  config["compiler"] = __VERSION__;
  return config;
}

}  // namespace

// What threads share has locks of its own, so that free-threaded Python keeps the GIL off. One
// interpreter a process: exception types and pool are the process's.
PYBIND11_MODULE(_bpg, module, py::mod_gil_not_used()) {
  module.doc() = "The BPG codec on tensor memory. Internal: use the functions of npp.";
  npp::bind_errors(module);
  npp::bind_options(module);
  npp::bind_batch_qps(module);
  npp::bind_outcomes(module);
  npp::bind_batch_encode(module);
  npp::bind_batch_decode(module);
  npp::bind_animation(module);
  npp::bind_probe(module);
  npp::bind_memory(module);
  module.def("build_config", &build_config);
  // Threads that still run while the interpreter goes away would touch memory that is gone.
  // Handlers that were registered before this one run after it; what they do starts the pool again.
  py::module_::import("atexit").attr("register")(py::cpp_function([] {
    npp::interpreter_begins_to_end();
    const npp::WithoutGil no_gil;
    npp::Pool::instance().shut_down();
  }));
}
