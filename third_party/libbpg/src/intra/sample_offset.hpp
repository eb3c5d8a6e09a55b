#pragma once

#include "intra/coded_picture.hpp"

namespace bpg::intra {

/// Sample adaptive offset, ITU-T H.265 8.7.3, on a whole deblocked picture.
void apply_sample_offsets(CodedPicture& picture);

}  // namespace bpg::intra
