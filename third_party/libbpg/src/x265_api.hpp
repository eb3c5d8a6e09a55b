#pragma once

#include <x265.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// Everything in which the supported releases of x265, 3.4 to 4.2, differ for us. It goes by types
// and not by X265_BUILD, which some of the changes did not raise.
#if X265_BUILD < 192
#error "x265 3.4 or later is needed"
#endif

namespace bpg::x265_api_differences {

using EncodeOne = int (*)(x265_encoder*, x265_nal**, std::uint32_t*, x265_picture*, x265_picture*);
using EncodeLayers = int (*)(x265_encoder*, x265_nal**, std::uint32_t*, x265_picture*,
                             x265_picture**);

inline int encode(EncodeOne function, x265_encoder* encoder, x265_nal** nals, std::uint32_t* count,
                  x265_picture* input, x265_picture* output) {
  return function(encoder, nals, count, input, output);
}

/// x265 4.0 alone gives back a picture for each layer; we code one.
inline int encode(EncodeLayers function, x265_encoder* encoder, x265_nal** nals,
                  std::uint32_t* count, x265_picture* input, x265_picture* output) {
  constexpr std::size_t kMostLayers = 4;
  std::array<x265_picture*, kMostLayers> layers{output};
  return function(encoder, nals, count, input, layers.data());
}

/// A text of x265_param is a pointer up to 3.5. `text` must outlive the parameters.
inline void set_text(const char*& field, const char* text) { field = text; }

/// Later it is an array, and no text is an empty one.
template <std::size_t Size>
void set_text(char (&field)[Size], const char* text) {
  const std::string_view value(text == nullptr ? "" : text);
  field[value.copy(field, Size - 1)] = '\0';
}

}  // namespace bpg::x265_api_differences
