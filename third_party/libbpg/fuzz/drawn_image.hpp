#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/color.hpp"
#include "bytes.hpp"

namespace bpg_fuzz {

/// A picture with samples, type and memory layout drawn from a fuzzer's input. Few bytes make a
/// whole picture: they are repeated, each time a little changed.
class DrawnImage {
 public:
  DrawnImage(Bytes& bytes, int width, int height, int channels)
      : width_(width), height_(height), channels_(channels) {
    type_ = static_cast<bpg::SampleType>(bytes.between(0, 4));
    layout_ = bytes.between(0, 2);
    const std::vector<std::uint8_t> pattern = bytes.take(bytes.between(1, 400));
    // Without channels there is still memory, for view() counts rows from its start.
    memory_.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                   static_cast<std::size_t>(std::max(channels, 1)) * bpg::sample_size(type_));
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const std::size_t turn = pattern.empty() ? 0 : i / pattern.size();
      const unsigned value = pattern.empty() ? 0 : pattern[i % pattern.size()];
      memory_[i] = static_cast<std::byte>(value + turn * turn);
    }
  }

  /// Interleaved, planar, or upside down.
  [[nodiscard]] bpg::ConstImageView view() const {
    const auto size = static_cast<std::ptrdiff_t>(bpg::sample_size(type_));
    const std::ptrdiff_t row = size * width_;
    const std::byte* data = memory_.data();
    if (layout_ == 0) {
      return {data, type_, width_, height_, channels_, size, row * channels_, size * channels_};
    }
    if (layout_ == 1) {
      return {data, type_, width_, height_, channels_, row * height_, row, size};
    }
    return {
        data + row * (height_ - 1), type_, width_, height_, channels_, row * height_, -row, size};
  }
  [[nodiscard]] bpg::SampleType type() const { return type_; }

 private:
  int width_;
  int height_;
  int channels_;
  int layout_ = 0;
  bpg::SampleType type_ = bpg::SampleType::u8;
  std::vector<std::byte> memory_;
};

}  // namespace bpg_fuzz
