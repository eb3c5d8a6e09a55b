#pragma once

#include <pybind11/pybind11.h>

namespace npp {

/// Each adds to the module what the file of its name has.
void bind_animation(pybind11::module_& module);
void bind_batch_decode(pybind11::module_& module);
void bind_batch_encode(pybind11::module_& module);
void bind_memory(pybind11::module_& module);
void bind_probe(pybind11::module_& module);

}  // namespace npp
