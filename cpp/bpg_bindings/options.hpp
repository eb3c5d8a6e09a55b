#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "bpg/container.hpp"
#include "bpg/options.hpp"

namespace npp {

/// Binds EncodeOptions as an immutable value with numbers for the enumerations.
void bind_options(pybind11::module_& module);

/// A sequence of (tag, bytes).
std::vector<bpg::Extension> to_extensions(const pybind11::sequence& pairs);
pybind11::list from_extensions(const std::vector<bpg::Extension>& extensions);

}  // namespace npp
