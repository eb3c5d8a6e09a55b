#pragma once

#include <cstddef>
#include <cstdint>

#include "bits.hpp"
#include "bpg/container.hpp"

namespace bpg::intra {

/// A probability model of ITU-T H.265 9.3.4.3: state index and most probable symbol.
struct Context {
  std::uint8_t state = 0;
  std::uint8_t mps = 0;
};

/// The arithmetic decoding engine of ITU-T H.265 9.3.4.3. Every call throws DecodeError once the
/// data is used up.
class CabacReader {
 public:
  /// Begins with the first byte of a slice segment's data, which must outlive the reader.
  void start(ByteSpan bytes);
  /// Begins again at the next byte after a terminating bin and the raw bits that followed it.
  void restart();

  bool decision(Context& context);
  bool bypass();
  /// `count` bypass bins, first one most significant; at most 32.
  std::uint32_t bypass_bits(int count);

  // The three syntax elements that terminate arithmetic decoding when they are 1.
  bool end_of_slice_segment();
  bool end_of_substream();
  bool pcm_flag();

  /// Bits that follow a terminating bin from the next byte on.
  std::uint32_t raw_bits(int count);

 private:
  void begin_at(std::size_t byte);
  void refill();
  [[nodiscard]] std::int64_t bits_used() const;
  void check_end() const;
  bool terminate();

  ByteSpan bytes_;
  std::size_t next_ = 0;  // next byte to load; runs past the end by a few
  // The standard's 9-bit ivlOffset followed by `ahead_` bits that it has not yet read.
  std::uint64_t value_ = 0;
  int ahead_ = 0;
  std::uint32_t range_ = 0;
  std::size_t stopped_at_ = 0;  // byte after the last terminating bin
  BitReader raw_{ByteSpan{}};
};

}  // namespace bpg::intra
