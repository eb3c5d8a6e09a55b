// What stays in memory between calls: idle encoders and blocks of output, and how to get rid of
// them.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cstddef>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"
#include "encoder_cache.hpp"
#include "interpreter.hpp"
#include "jobs.hpp"
#include "output_memory.hpp"

namespace py = pybind11;

namespace npp {
namespace {

// For the outputs of start_round_trip.
py::array output_bytes(py::ssize_t size) {
  return array_of(OutputMemory::instance().take(static_cast<std::size_t>(size)), py::dtype("u1"),
                  {size});
}

// What pictures and streams took is free, but the C library keeps it for later, for each of the
// pool's threads by itself: with pictures of many megapixels that is a lot.
void give_back_free_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

void bind_memory(py::module_& module) {
  module.def("output_bytes", &output_bytes, py::arg("size"));
  module.attr("LARGE_OUTPUT") = kLargeOutput;
  module.def("kept_output_bytes", [] { return OutputMemory::instance().kept_bytes(); });
  module.def("clear_encoders", [] {
    release_finished_jobs();
    const WithoutGil no_gil;
    EncoderCache::instance().clear();
    OutputMemory::instance().clear();
    give_back_free_memory();
  });
  module.def(
      "set_encoder_limit",
      [](std::size_t pixels) {
        const WithoutGil no_gil;
        EncoderCache::instance().set_limit(pixels);
      },
      py::arg("pixels"));
  module.def("idle_encoders", [] {
    EncoderCache& cache = EncoderCache::instance();
    return std::make_pair(cache.idle_count(), cache.idle_pixels());
  });
}

}  // namespace npp
