#pragma once

#include "intra/coded_picture.hpp"

namespace bpg::intra {

/// The deblocking filter of ITU-T H.265 8.7.2 on a whole intra picture.
void deblock(CodedPicture& picture);

}  // namespace bpg::intra
