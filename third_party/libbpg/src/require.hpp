#pragma once

#include "bpg/error.hpp"

namespace bpg {

/// Throws EncodeError where something is not as it must be.
inline void require(bool ok, const char* message) {
  if (!ok) {
    throw EncodeError(message);
  }
}

}  // namespace bpg
