#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/picture.hpp"
#include "output_memory.hpp"

namespace npp {

/// A (C, H, W) array of any strides as an image. The array must outlive the view. Throws
/// EncodeError for another rank, dtype or number of channels.
bpg::ConstImageView image_view(const pybind11::array& array);
/// The same for an array that is written to.
bpg::ImageView mutable_image_view(pybind11::array& array);

/// The pictures of an (N, C, H, W) array.
std::vector<bpg::ConstImageView> image_views(const pybind11::array& array);
std::vector<bpg::ImageView> mutable_image_views(pybind11::array& array);

/// A contiguous array in memory that it owns.
pybind11::array array_of(OutputBlock memory, const pybind11::dtype& dtype,
                         const std::vector<pybind11::ssize_t>& shape);

/// The contents of Python's bytes, which must outlive the span.
bpg::ByteSpan span_of(const pybind11::bytes& file);
/// A copy as Python's bytes. Throws a MemoryError where there is no memory for it: the conversion
/// of pybind11 itself throws a RuntimeError.
pybind11::bytes to_bytes(const std::vector<std::uint8_t>& data);

/// The numpy dtype of a sample type.
pybind11::dtype numpy_dtype(bpg::SampleType type);
/// From a dtype's kind and size. Throws EncodeError for what images cannot have.
bpg::SampleType sample_type(const pybind11::dtype& dtype);

}  // namespace npp
