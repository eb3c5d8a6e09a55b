#pragma once

namespace bpg {

/// Whether this processor runs 256-bit instructions as two halves (AMD Zen and Zen+): x265 is
/// faster there without AVX2.
[[nodiscard]] bool splits_256_bit();

}  // namespace bpg
