#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "bpg/color.hpp"

namespace npp {

/// What became of a picture or a file, for Python: struct sequences, whose fields have names and
/// stay what they are. Python's collector sees into them, as it does not into classes of pybind11:
/// an error that is raised refers by its traceback to whoever holds the outcome that has the error.
/// `file`, `picture` and `error` are None or what their names say.
pybind11::object encode_outcome(const pybind11::object& file, const pybind11::object& error,
                                const bpg::RangeReport& range, double hevc_seconds, double seconds);
pybind11::object decode_outcome(const pybind11::object& picture, const pybind11::object& error);
pybind11::object animation_outcome(const pybind11::object& file, const pybind11::object& error,
                                   const bpg::RangeReport& range, std::size_t bad_frame);

/// Adds their types to the module.
void bind_outcomes(pybind11::module_& module);

}  // namespace npp
