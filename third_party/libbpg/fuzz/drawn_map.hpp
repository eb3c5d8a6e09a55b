#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "bpg/qp_map.hpp"
#include "bytes.hpp"

namespace bpg_fuzz {

/// A map of QP offsets drawn from a fuzzer's input: a few values, repeated over its blocks.
class DrawnMap {
 public:
  /// Finite offsets of a map that fits; any float at all where `wild`.
  DrawnMap(Bytes& bytes, int width, int height, bool wild)
      : width_(width),
        height_(height),
        offsets_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {
    std::vector<float> values(static_cast<std::size_t>(bytes.between(1, 9)));
    for (float& value : values) {
      value = wild ? any_float(bytes) : static_cast<float>(bytes.between(-640, 640)) / 8;
    }
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      offsets_[i] = values[i % values.size()];
    }
  }

  [[nodiscard]] bpg::QpMapView view() const { return {offsets_.data(), width_, height_}; }

 private:
  static float any_float(Bytes& bytes) {
    std::uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) {
      bits = bits << 8 | bytes.byte();
    }
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  int width_;
  int height_;
  std::vector<float> offsets_;
};

}  // namespace bpg_fuzz
