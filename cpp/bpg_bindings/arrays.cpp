#include "arrays.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "bpg/error.hpp"
#include "bpg/picture.hpp"

namespace py = pybind11;

namespace npp {
namespace {

int checked_side(py::ssize_t side, const char* name) {
  if (side < 1 || side > bpg::kMostSide) {
    throw bpg::EncodeError(std::string("image: ") + name + " must be from 1 to " +
                           std::to_string(bpg::kMostSide) + ", not " + std::to_string(side));
  }
  return static_cast<int>(side);
}

void check_rank(const py::array& array, py::ssize_t rank, const char* axes) {
  if (array.ndim() != rank) {
    throw bpg::EncodeError("image: the dimensions " + std::string(axes) + " are needed, not " +
                           std::to_string(array.ndim()) + " of them");
  }
}

// From the last three dimensions.
template <class View>
View fill_view(const py::array& array) {
  const py::ssize_t first = array.ndim() - 3;
  const py::ssize_t channels = array.shape(first);
  if (channels != 1 && channels != 3 && channels != 4) {
    throw bpg::EncodeError("image: 1, 3 or 4 channels are needed, not " + std::to_string(channels));
  }
  View view;
  view.type = sample_type(array.dtype());
  view.channels = static_cast<int>(channels);
  view.height = checked_side(array.shape(first + 1), "height");
  view.width = checked_side(array.shape(first + 2), "width");
  view.stride_c = array.strides(first);
  view.stride_y = array.strides(first + 1);
  view.stride_x = array.strides(first + 2);
  return view;
}

template <class View, class Byte>
std::vector<View> fill_views(const py::array& array, Byte* data) {
  check_rank(array, 4, "(N, C, H, W)");
  std::vector<View> views(static_cast<std::size_t>(array.shape(0)), fill_view<View>(array));
  for (View& view : views) {
    view.data = data;
    data += array.strides(0);
  }
  return views;
}

}  // namespace

std::vector<bpg::ConstImageView> image_views(const py::array& array) {
  return fill_views<bpg::ConstImageView>(array, static_cast<const std::byte*>(array.data()));
}

std::vector<bpg::ImageView> mutable_image_views(py::array& array) {
  return fill_views<bpg::ImageView>(array, static_cast<std::byte*>(array.mutable_data()));
}

bpg::ConstImageView image_view(const py::array& array) {
  check_rank(array, 3, "(C, H, W)");
  auto view = fill_view<bpg::ConstImageView>(array);
  view.data = static_cast<const std::byte*>(array.data());
  return view;
}

bpg::ImageView mutable_image_view(py::array& array) {
  check_rank(array, 3, "(C, H, W)");
  auto view = fill_view<bpg::ImageView>(array);
  view.data = static_cast<std::byte*>(array.mutable_data());
  return view;
}

py::array array_of(OutputBlock memory, const py::dtype& dtype,
                   const std::vector<py::ssize_t>& shape) {
  auto owned = std::make_unique<OutputBlock>(std::move(memory));
  std::byte* data = owned->get();
  const py::capsule owner(owned.get(), [](void* p) { delete static_cast<OutputBlock*>(p); });
  static_cast<void>(owned.release());
  return {dtype, shape, data, owner};
}

bpg::ByteSpan span_of(const py::bytes& file) {
  const std::string_view bytes = file;
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

py::bytes to_bytes(const std::vector<std::uint8_t>& data) {
  PyObject* made = PyBytes_FromStringAndSize(reinterpret_cast<const char*>(data.data()),
                                             static_cast<py::ssize_t>(data.size()));
  if (made == nullptr) {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::bytes>(made);
}

py::dtype numpy_dtype(bpg::SampleType type) {
  switch (type) {
    case bpg::SampleType::u8:
      return py::dtype("u1");
    case bpg::SampleType::u16:
      return py::dtype("=u2");
    case bpg::SampleType::f16:
      return py::dtype("=f2");
    case bpg::SampleType::f32:
      return py::dtype("=f4");
    case bpg::SampleType::f64:
      return py::dtype("=f8");
  }
  throw bpg::EncodeError("unknown sample type");
}

bpg::SampleType sample_type(const py::dtype& dtype) {
  const char kind = dtype.kind();
  const py::ssize_t size = dtype.itemsize();
  const bool native = dtype.byteorder() == '=' || dtype.byteorder() == '|';
  if (native && kind == 'u' && size == 1) {
    return bpg::SampleType::u8;
  }
  if (native && kind == 'u' && size == 2) {
    return bpg::SampleType::u16;
  }
  if (native && kind == 'f' && size == 2) {
    return bpg::SampleType::f16;
  }
  if (native && kind == 'f' && size == 4) {
    return bpg::SampleType::f32;
  }
  if (native && kind == 'f' && size == 8) {
    return bpg::SampleType::f64;
  }
  throw bpg::EncodeError("image: dtype " +
                         std::string(py::str(static_cast<const py::object&>(dtype))) +
                         " is not one of uint8, uint16, float16, float32, float64");
}

}  // namespace npp
