#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <string>

namespace npp {

/// Creates npp's exception types in the module and translates libbpg's into them.
void bind_errors(pybind11::module_& module);

/// An exception that a pool thread met, kept until the GIL is there: one type name and one message.
struct Failure {
  enum class Kind { none, encode, decode, unsupported, memory, other };
  Kind kind = Kind::none;
  std::string message;

  [[nodiscard]] explicit operator bool() const { return kind != Kind::none; }
  /// What is being handled right now. Call it in a catch block.
  static Failure current() noexcept;
  /// The Python exception object, or None where there was none. Needs the GIL. Throws
  /// std::bad_alloc, which becomes a MemoryError, where memory ran out: that is no picture's fault,
  /// and must not stand in its place.
  [[nodiscard]] pybind11::object to_python() const;
};

}  // namespace npp
