#include "errors.hpp"

#include <exception>
#include <new>
#include <string>

#include "bpg/error.hpp"

namespace py = pybind11;

namespace npp {
namespace {

// Owned references that live as long as the process: the translator may run at any time.
struct ExceptionTypes {
  PyObject* base = nullptr;
  PyObject* encode = nullptr;
  PyObject* decode = nullptr;
  PyObject* unsupported = nullptr;
};
ExceptionTypes g_types;

PyObject* make_type(py::module_& module, const char* name, const char* doc, PyObject* base,
                    const py::dict& attributes = {}) {
  const std::string qualified = std::string("npp.") + name;
  PyObject* type = PyErr_NewExceptionWithDoc(qualified.c_str(), doc, base, attributes.ptr());
  if (type == nullptr) {
    throw py::error_already_set();
  }
  module.attr(name) = py::reinterpret_borrow<py::object>(type);
  return type;
}

PyObject* type_of(Failure::Kind kind) {
  switch (kind) {
    case Failure::Kind::encode:
      return g_types.encode;
    case Failure::Kind::decode:
      return g_types.decode;
    case Failure::Kind::unsupported:
      return g_types.unsupported;
    default:
      return g_types.base;
  }
}

void translate(std::exception_ptr exception) {
  try {
    if (exception) {
      std::rethrow_exception(exception);
    }
  } catch (const bpg::Error& error) {
    PyErr_SetString(type_of(Failure::current().kind), error.what());
  }
}

}  // namespace

py::object to_python(const Failure& failure) {
  if (!failure) {
    return py::none();
  }
  if (failure.kind == Failure::Kind::memory) {
    throw std::bad_alloc();
  }
  return py::reinterpret_borrow<py::object>(type_of(failure.kind))(failure.message);
}

void bind_errors(py::module_& module) {
  py::dict attributes;  // what an error has that does not come out of a batch
  attributes["index"] = py::none();
  attributes["results"] = py::none();
  g_types.base = make_type(module, "BPGError",
                           "Base of all errors of the codec; also a ValueError.\n\n"
                           "index: which picture of a batch it was, else None.\n"
                           "results: where a batch was worked on, one entry a picture: its result, "
                           "or its error; else None.",
                           PyExc_ValueError, attributes);
  g_types.encode =
      make_type(module, "EncodeError", "The image or the options cannot be encoded.", g_types.base);
  g_types.decode =
      make_type(module, "DecodeError",
                "The bytes are not a BPG file, or a damaged or oversized one.", g_types.base);
  g_types.unsupported = make_type(module, "UnsupportedError",
                                  "Legal BPG that this build cannot handle.", g_types.base);
  py::register_local_exception_translator(translate);
}

}  // namespace npp
