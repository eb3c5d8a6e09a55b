#pragma once

#include <pybind11/pybind11.h>

namespace npp {

/// Releases the GIL while it lives. A thread that would take it back while the interpreter shuts
/// down waits instead: Python would end that thread in the middle of C++ code, and with it the
/// process.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

/// To be called by an atexit handler. Other handlers may still use the codec afterwards, in the
/// thread that called this or, after a moment, in others.
void interpreter_begins_to_end();

}  // namespace npp
