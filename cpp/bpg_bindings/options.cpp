#include "options.hpp"

#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>

#include "arrays.hpp"
#include "bpg/encoder.hpp"

namespace py = pybind11;

namespace npp {

void bind_options(py::module_& module) {
  py::class_<bpg::EncodeOptions>(module, "EncodeOptions")
      .def(py::init([](int chroma, int color_space, int bit_depth, bool limited_range,
                       bool lossless, bool premultiplied, int effort, bool machine, double psy_rd,
                       std::optional<int> deblock, std::optional<int> chroma_qp_offset,
                       std::string x265) {
             bpg::EncodeOptions options;
             options.chroma = static_cast<bpg::Chroma>(chroma);
             options.color_space = static_cast<bpg::ColorSpace>(color_space);
             options.bit_depth = bit_depth;
             options.limited_range = limited_range;
             options.lossless = lossless;
             options.premultiplied = premultiplied;
             options.effort = effort;
             options.tune = machine ? bpg::Tune::machine : bpg::Tune::ssim;
             options.psy_rd = psy_rd;
             options.deblock = deblock;
             options.chroma_qp_offset = chroma_qp_offset;
             options.x265 = std::move(x265);
             return options;
           }),
           py::kw_only(), py::arg("chroma"), py::arg("color_space"), py::arg("bit_depth"),
           py::arg("limited_range"), py::arg("lossless"), py::arg("premultiplied"),
           py::arg("effort"), py::arg("machine"), py::arg("psy_rd"), py::arg("deblock"),
           py::arg("chroma_qp_offset"), py::arg("x265"));
  module.def("chroma_qp_offset", &bpg::chroma_qp_offset, py::arg("options"));
  module.def("intra_slice_qp", &bpg::intra_slice_qp, py::arg("qp"));
}

std::vector<bpg::Extension> to_extensions(const py::sequence& pairs) {
  std::vector<bpg::Extension> extensions;
  extensions.reserve(pairs.size());
  for (const py::handle pair : pairs) {
    const auto [tag, data] = pair.cast<std::pair<std::uint32_t, std::string>>();
    bpg::Extension extension;
    extension.tag = tag;
    extension.data.assign(data.begin(), data.end());
    extensions.push_back(std::move(extension));
  }
  return extensions;
}

py::list from_extensions(const std::vector<bpg::Extension>& extensions) {
  py::list pairs;
  for (const bpg::Extension& extension : extensions) {
    pairs.append(py::make_tuple(extension.tag, to_bytes(extension.data)));
  }
  return pairs;
}

}  // namespace npp
