#pragma once

#include <pybind11/pybind11.h>

#include "failure.hpp"

namespace npp {

/// Creates npp's exception types in the module and translates libbpg's into them.
void bind_errors(pybind11::module_& module);

/// The Python exception object, or None where there was none. Needs the GIL. Throws std::bad_alloc,
/// which becomes a MemoryError, where memory ran out: that is no picture's fault, and must not
/// stand in its place.
pybind11::object to_python(const Failure& failure);

}  // namespace npp
