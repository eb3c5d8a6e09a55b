#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/decoder.hpp"
#include "check.hpp"

// What tests of encoder and decoder share: pictures, and what comes out of a file.

namespace bpg_test {

inline constexpr bpg::DecodeLimits kLimits{1U << 24};

/// Gradients with a little noise.
struct TestImage {
  std::vector<std::uint8_t> samples;
  int width;
  int height;
  int channels;

  TestImage(int w, int h, int c, unsigned seed) : width(w), height(h), channels(c) {
    for (int i = 0; i < w * h * c; ++i) {
      seed = seed * 1664525U + 1013904223U;
      const int x = i / c % w;
      const int y = i / c / w;
      samples.push_back(static_cast<std::uint8_t>(
          (x * 3 + y * 2 + i % c * 50 + static_cast<int>(seed >> 28)) & 255));
    }
  }
  [[nodiscard]] bpg::ConstImageView view() const {
    return {reinterpret_cast<const std::byte*>(samples.data()),
            bpg::SampleType::u8,
            width,
            height,
            channels,
            1,
            static_cast<std::ptrdiff_t>(width) * channels,
            channels};
  }
};

inline std::vector<std::uint8_t> exported(const bpg::PictureView& picture, int channels) {
  const auto w = static_cast<std::size_t>(picture.format.width);
  const auto h = static_cast<std::size_t>(picture.format.height);
  std::vector<std::uint8_t> out(w * h * static_cast<std::size_t>(channels));
  bpg::export_image(picture, {reinterpret_cast<std::byte*>(out.data()), bpg::SampleType::u8,
                              picture.format.width, picture.format.height, channels, 1,
                              static_cast<std::ptrdiff_t>(w) * channels, channels});
  return out;
}

inline bpg::ByteSpan span(const std::vector<std::uint8_t>& v) { return {v.data(), v.size()}; }

inline std::vector<std::vector<std::uint8_t>> decoded(const std::vector<std::uint8_t>& file,
                                                      int channels) {
  std::vector<std::vector<std::uint8_t>> frames;
  bpg::decode(span(file), kLimits, [&](const bpg::PictureView& picture, std::size_t index) {
    CHECK(index == frames.size());
    frames.push_back(exported(picture, channels));
  });
  return frames;
}

template <class Error, class Function>
bool throws(const Function& function) {
  try {
    function();
  } catch (const Error&) {
    return true;
  } catch (const std::exception&) {
    return false;
  }
  return false;
}

}  // namespace bpg_test
