#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/error.hpp"

namespace bpg {

/// Reads bits, most significant first. Throws DecodeError past the end.
class BitReader {
 public:
  explicit BitReader(ByteSpan bytes) : bytes_(bytes) {}

  std::uint32_t bits(int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      value = (value << 1) | bit();
    }
    return value;
  }
  bool flag() { return bit() != 0; }

  /// HEVC's unsigned Exp-Golomb code.
  std::uint32_t ue() {
    int zeros = 0;
    while (bit() == 0) {
      if (++zeros > 31) {
        throw DecodeError("damaged file: Exp-Golomb code longer than 32 bits");
      }
    }
    return (1U << zeros) - 1 + bits(zeros);
  }
  std::int32_t se() {
    const std::uint32_t k = ue();
    const auto half = static_cast<std::int32_t>(k / 2);
    return (k & 1U) != 0 ? half + 1 : -half;
  }

  [[nodiscard]] std::size_t position() const { return position_; }

 private:
  std::uint32_t bit() {
    const std::size_t byte = position_ / 8;
    if (byte >= bytes_.size) {
      throw DecodeError("damaged file: a header ends in the middle of a field");
    }
    const int shift = 7 - static_cast<int>(position_ % 8);
    ++position_;
    return (static_cast<std::uint32_t>(bytes_.data[byte]) >> shift) & 1U;
  }

  ByteSpan bytes_;
  std::size_t position_ = 0;
};

/// Writes bits, most significant first.
class BitWriter {
 public:
  void bits(std::uint32_t value, int count) {
    for (int i = count - 1; i >= 0; --i) {
      flag(((value >> i) & 1U) != 0);
    }
  }
  void flag(bool value) {
    if (used_ % 8 == 0) {
      bytes_.push_back(0);
    }
    if (value) {
      bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | (1U << (7 - used_ % 8)));
    }
    ++used_;
  }
  void ue(std::uint32_t value) {
    const std::uint64_t code = static_cast<std::uint64_t>(value) + 1;
    int length = 0;
    while ((code >> (length + 1)) != 0) {
      ++length;
    }
    bits(0, length);
    flag(true);
    bits(static_cast<std::uint32_t>(code & ((1ULL << length) - 1)), length);
  }
  /// Stop bit and zeros up to a byte boundary, as every HEVC parameter set ends.
  void trailing_bits() {
    flag(true);
    align();
  }
  /// Zeros up to a byte boundary.
  void align() {
    while (used_ % 8 != 0) {
      flag(false);
    }
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t used_ = 0;
};

/// Reads the byte-aligned part of a container. Throws DecodeError past the end.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  std::uint8_t u8() {
    if (left() == 0) {
      throw DecodeError("truncated file: it ends inside the header");
    }
    return bytes_.data[position_++];
  }
  /// BPG's big-endian base-128 number, shortest form only, at most 32 bits.
  std::uint32_t ue7() {
    std::uint64_t value = 0;
    for (int i = 0; i < 5; ++i) {
      const std::uint8_t byte = u8();
      if (i == 0 && byte == 0x80) {
        throw DecodeError("damaged file: ue7 number is not in its shortest form");
      }
      value = (value << 7) | (byte & 0x7FU);
      if ((byte & 0x80U) == 0) {
        if (value > 0xFFFFFFFFULL) {
          break;
        }
        return static_cast<std::uint32_t>(value);
      }
    }
    throw DecodeError("damaged file: ue7 number does not fit in 32 bits");
  }
  ByteSpan take(std::size_t size) {
    if (size > left()) {
      throw DecodeError("truncated file: a length of " + std::to_string(size) +
                        " bytes is given where " + std::to_string(left()) + " are left");
    }
    const ByteSpan out{bytes_.data + position_, size};
    position_ += size;
    return out;
  }
  [[nodiscard]] std::size_t left() const { return bytes_.size - position_; }

 private:
  ByteSpan bytes_;
  std::size_t position_ = 0;
};

inline void put_ue7(std::vector<std::uint8_t>& out, std::uint32_t value) {
  int groups = 1;
  while (groups < 5 && (value >> (7 * groups)) != 0) {
    ++groups;
  }
  for (int i = groups - 1; i >= 0; --i) {
    const std::uint32_t more = i > 0 ? 0x80U : 0U;
    out.push_back(static_cast<std::uint8_t>(((value >> (7 * i)) & 0x7FU) | more));
  }
}

/// The payload of a NAL unit (after its two header bytes) without emulation prevention.
std::vector<std::uint8_t> unescape_nal(ByteSpan nal, std::size_t limit);
/// A whole NAL unit (header included) with emulation prevention added to its payload.
std::vector<std::uint8_t> escape_nal(ByteSpan nal);

}  // namespace bpg
