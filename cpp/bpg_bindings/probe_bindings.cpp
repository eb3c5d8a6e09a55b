// What a file says of itself, without its pictures: the header and the QPs of its blocks.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>

#include "arrays.hpp"
#include "bindings.hpp"
#include "bpg/decoder.hpp"
#include "bpg/qp_map.hpp"
#include "interpreter.hpp"
#include "options.hpp"

namespace py = pybind11;

namespace npp {
namespace {

py::dict probe(const py::bytes& file) {
  const bpg::FileInfo info = bpg::probe(span_of(file));
  const bpg::Format& f = info.header.format;
  py::dict out;
  out["width"] = f.width;
  out["height"] = f.height;
  out["pixel_format"] = static_cast<int>(f.chroma);
  out["color_space"] = static_cast<int>(f.color_space);
  out["bit_depth"] = f.bit_depth;
  out["limited_range"] = f.limited_range;
  out["has_alpha"] = f.alpha == bpg::Alpha::straight || f.alpha == bpg::Alpha::premultiplied;
  out["premultiplied"] = f.alpha == bpg::Alpha::premultiplied;
  out["has_w"] = f.alpha == bpg::Alpha::w_plane;
  out["animation"] = info.header.animation;
  out["loop_count"] = info.header.animation ? info.header.animation_control.loop_count : 0;
  out["period"] = py::make_tuple(info.header.animation_control.period_num,
                                 info.header.animation_control.period_den);
  out["ticks"] = info.ticks;
  out["block_qps"] = info.block_qps;
  out["extensions"] = from_extensions(info.header.extensions);
  return out;
}

py::array_t<std::int32_t> decode_qp_map(const py::bytes& file, std::uint64_t max_pixels,
                                        int block_size) {
  bpg::QpMap map;
  {
    const bpg::ByteSpan bytes = span_of(file);
    const WithoutGil no_gil;
    map = bpg::decode_qp_map(bytes, {max_pixels}, block_size);
  }
  py::array_t<std::int32_t> out({map.height, map.width});
  std::copy(map.qps.begin(), map.qps.end(), out.mutable_data());
  return out;
}

}  // namespace

void bind_probe(py::module_& module) {
  module.def("probe", &probe, py::arg("file"));
  module.def("decode_qp_map", &decode_qp_map, py::arg("file"), py::arg("max_pixels"),
             py::arg("block_size") = bpg::kQpMapBlock);
}

}  // namespace npp
