#include "outcomes.hpp"

#include <cstring>

namespace py = pybind11;

namespace npp {
namespace {

PyStructSequence_Field g_encode_fields[] = {
    {"file", "bytes, or None where there is an error"},
    {"error", "BPGError, or None"},
    {"outside", "whether a sample was outside [0, 1]"},
    {"nan", "whether a sample was NaN"},
    {"hevc_seconds", "wall time within x265"},
    {"seconds", "wall time of all that C++ did for the picture"},
    {nullptr, nullptr}};
PyStructSequence_Field g_decode_fields[] = {
    {"picture",
     "array; None where there is an error, and for a picture that went to a given place"},
    {"error", "BPGError, or None"},
    {nullptr, nullptr}};
PyStructSequence_Field g_animation_fields[] = {
    {"file", "bytes, empty where a frame was refused; None where there is an error"},
    {"error", "BPGError, or None"},
    {"outside", "whether a sample of the refused frame was outside [0, 1]"},
    {"nan", "whether a sample of the refused frame was NaN"},
    {"bad_frame", "index of the refused frame"},
    {nullptr, nullptr}};

// Owned references that live as long as the process, in which results may be asked for at any time.
PyTypeObject* g_encode_outcome = nullptr;
PyTypeObject* g_decode_outcome = nullptr;
PyTypeObject* g_animation_outcome = nullptr;

// `qualified`, with the module in front, must live as long as the type: before Python 3.11 that
// keeps no copy.
template <std::size_t size>
PyTypeObject* make_type(py::module_& module, const char* qualified, const char* doc,
                        PyStructSequence_Field (&fields)[size]) {
  PyStructSequence_Desc description{qualified, doc, fields, static_cast<int>(size) - 1};
  PyTypeObject* type = PyStructSequence_NewType(&description);
  if (type == nullptr) {
    throw py::error_already_set();
  }
  const char* name = std::strrchr(qualified, '.') + 1;
  module.attr(name) = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(type));
  return type;
}

py::object checked(PyObject* made) {
  if (made == nullptr) {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(made);
}

py::object to_object(const py::object& value) { return value; }
py::object to_object(bool value) { return py::bool_(value); }
py::object to_object(double value) { return checked(PyFloat_FromDouble(value)); }
py::object to_object(std::size_t value) { return checked(PyLong_FromSize_t(value)); }

template <class... Values>
py::object make(PyTypeObject* type, const Values&... values) {
  py::object made = checked(PyStructSequence_New(type));
  Py_ssize_t field = 0;
  (PyStructSequence_SetItem(made.ptr(), field++, to_object(values).release().ptr()), ...);
  // Python leaves that to whoever fills one from C.
  if (PyObject_GC_IsTracked(made.ptr()) == 0) {
    PyObject_GC_Track(made.ptr());
  }
  return made;
}

}  // namespace

py::object encode_outcome(const py::object& file, const py::object& error,
                          const bpg::RangeReport& range, double hevc_seconds, double seconds) {
  return make(g_encode_outcome, file, error, range.outside, range.nan, hevc_seconds, seconds);
}

py::object decode_outcome(const py::object& picture, const py::object& error) {
  return make(g_decode_outcome, picture, error);
}

py::object animation_outcome(const py::object& file, const py::object& error,
                             const bpg::RangeReport& range, std::size_t bad_frame) {
  return make(g_animation_outcome, file, error, range.outside, range.nan, bad_frame);
}

void bind_outcomes(py::module_& module) {
  g_encode_outcome = make_type(module, "npp._bpg.EncodeOutcome",
                               "What became of a picture that was encoded.", g_encode_fields);
  g_decode_outcome = make_type(module, "npp._bpg.DecodeOutcome",
                               "What became of a file that was decoded.", g_decode_fields);
  g_animation_outcome = make_type(module, "npp._bpg.AnimationOutcome",
                                  "What became of the frames of an animation.", g_animation_fields);
}

}  // namespace npp
