#include "intra/cabac.hpp"

#include "bpg/error.hpp"
#include "intra/cabac_tables.hpp"

namespace bpg::intra {
namespace {

constexpr int kOffsetBits = 9;
// More than the bits that one bin can use.
constexpr int kMinAhead = 8;
constexpr int kFullAhead = 40;
constexpr std::uint32_t kInitialRange = 510;
constexpr std::uint32_t kRenormalised = 256;

}  // namespace

void CabacReader::start(ByteSpan bytes) {
  bytes_ = bytes;
  begin_at(0);
}

void CabacReader::restart() { begin_at(stopped_at_ + raw_.position() / 8); }

void CabacReader::begin_at(std::size_t byte) {
  next_ = byte;
  value_ = 0;
  ahead_ = -kOffsetBits;
  range_ = kInitialRange;
  refill();
  if (value_ >> ahead_ >= kInitialRange) {
    throw DecodeError("damaged file: slice data begins with an illegal code");
  }
}

std::int64_t CabacReader::bits_used() const {
  return static_cast<std::int64_t>(next_) * 8 - ahead_;
}

void CabacReader::check_end() const {
  if (bits_used() > static_cast<std::int64_t>(bytes_.size) * 8) {
    throw DecodeError("damaged file: slice data ends too early");
  }
}

void CabacReader::refill() {
  check_end();
  while (ahead_ < kFullAhead) {
    value_ = value_ << 8 | (next_ < bytes_.size ? bytes_.data[next_] : 0U);
    ++next_;
    ahead_ += 8;
  }
}

bool CabacReader::decision(Context& context) {
  if (ahead_ < kMinAhead) {
    refill();
  }
  const std::uint32_t lps = kRangeLps[context.state][range_ >> 6 & 3];
  range_ -= lps;
  const std::uint64_t scaled = static_cast<std::uint64_t>(range_) << ahead_;
  const bool is_mps = value_ < scaled;
  const bool bin = (context.mps != 0) == is_mps;
  if (!is_mps) {
    value_ -= scaled;
    range_ = lps;
  }
  adapt(context, is_mps);
  while (range_ < kRenormalised) {
    range_ <<= 1;
    --ahead_;
  }
  return bin;
}

bool CabacReader::bypass() {
  if (ahead_ < kMinAhead) {
    refill();
  }
  --ahead_;
  const std::uint64_t scaled = static_cast<std::uint64_t>(range_) << ahead_;
  if (value_ < scaled) {
    return false;
  }
  value_ -= scaled;
  return true;
}

std::uint32_t CabacReader::bypass_bits(int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    value = value << 1 | (bypass() ? 1U : 0U);
  }
  return value;
}

bool CabacReader::terminate() {
  if (ahead_ < kMinAhead) {
    refill();
  }
  range_ -= 2;
  if (value_ < static_cast<std::uint64_t>(range_) << ahead_) {
    if (range_ < kRenormalised) {
      range_ <<= 1;
      --ahead_;
    }
    return false;
  }
  // The last bit read is the stop bit; what follows begins at the next byte.
  check_end();
  stopped_at_ = static_cast<std::size_t>((bits_used() + 7) / 8);
  raw_ = BitReader({bytes_.data + stopped_at_, bytes_.size - stopped_at_});
  return true;
}

bool CabacReader::end_of_slice_segment() { return terminate(); }
bool CabacReader::end_of_substream() { return terminate(); }
bool CabacReader::pcm_flag() { return terminate(); }

std::uint32_t CabacReader::raw_bits(int count) { return raw_.bits(count); }

}  // namespace bpg::intra
