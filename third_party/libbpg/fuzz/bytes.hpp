#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bpg_fuzz {

/// Takes numbers off a fuzzer's input; when it is used up, everything is 0.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  std::uint8_t byte() {
    if (left_ == 0) {
      return 0;
    }
    --left_;
    return *data_++;
  }
  /// A number from low..high, ends included; at most 2^16 of them.
  int between(int low, int high) {
    const int word = byte() | byte() << 8;
    return low + word % (high - low + 1);
  }
  bool flag() { return (byte() & 1) != 0; }
  std::vector<std::uint8_t> take(std::size_t count) {
    const std::size_t taken = std::min(count, left_);
    std::vector<std::uint8_t> out(data_, data_ + taken);
    data_ += taken;
    left_ -= taken;
    return out;
  }
  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace bpg_fuzz
