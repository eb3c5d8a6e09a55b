#include "intra/cabac.hpp"

#include "bpg/error.hpp"

namespace bpg::intra {
namespace {

constexpr int kOffsetBits = 9;
// More than the bits that one bin can use.
constexpr int kMinAhead = 8;
constexpr int kFullAhead = 40;
constexpr std::uint32_t kInitialRange = 510;
constexpr std::uint32_t kRenormalised = 256;
constexpr std::uint8_t kLastAdaptiveState = 62;

// Table 9-52.
constexpr std::uint8_t kRangeLps[64][4] = {
    {128, 176, 208, 240}, {128, 167, 197, 227}, {128, 158, 187, 216}, {123, 150, 178, 205},
    {116, 142, 169, 195}, {111, 135, 160, 185}, {105, 128, 152, 175}, {100, 122, 144, 166},
    {95, 116, 137, 158},  {90, 110, 130, 150},  {85, 104, 123, 142},  {81, 99, 117, 135},
    {77, 94, 111, 128},   {73, 89, 105, 122},   {69, 85, 100, 116},   {66, 80, 95, 110},
    {62, 76, 90, 104},    {59, 72, 86, 99},     {56, 69, 81, 94},     {53, 65, 77, 89},
    {51, 62, 73, 85},     {48, 59, 69, 80},     {46, 56, 66, 76},     {43, 53, 63, 72},
    {41, 50, 59, 69},     {39, 48, 56, 65},     {37, 45, 54, 62},     {35, 43, 51, 59},
    {33, 41, 48, 56},     {32, 39, 46, 53},     {30, 37, 43, 50},     {29, 35, 41, 48},
    {27, 33, 39, 45},     {26, 31, 37, 43},     {24, 30, 35, 41},     {23, 28, 33, 39},
    {22, 27, 32, 37},     {21, 26, 30, 35},     {20, 24, 29, 33},     {19, 23, 27, 31},
    {18, 22, 26, 30},     {17, 21, 25, 28},     {16, 20, 23, 27},     {15, 19, 22, 25},
    {14, 18, 21, 24},     {14, 17, 20, 23},     {13, 16, 19, 22},     {12, 15, 18, 21},
    {12, 14, 17, 20},     {11, 14, 16, 19},     {11, 13, 15, 18},     {10, 12, 15, 17},
    {10, 12, 14, 16},     {9, 11, 13, 15},      {9, 11, 12, 14},      {8, 10, 12, 14},
    {8, 9, 11, 13},       {7, 9, 11, 12},       {7, 9, 10, 12},       {7, 8, 10, 11},
    {6, 8, 9, 11},        {6, 7, 9, 10},        {6, 7, 8, 9},         {2, 2, 2, 2}};

// Table 9-53: the state after a least probable symbol.
constexpr std::uint8_t kNextAfterLps[64] = {
    0,  0,  1,  2,  2,  4,  4,  5,  6,  7,  8,  9,  9,  11, 11, 12, 13, 13, 15, 15, 16, 16,
    18, 18, 19, 19, 21, 21, 22, 22, 23, 24, 24, 25, 26, 26, 27, 27, 28, 29, 29, 30, 30, 30,
    31, 32, 32, 33, 33, 33, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37, 37, 38, 38, 63};

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

std::int64_t CabacReader::bits_used() const { return static_cast<std::int64_t>(next_) * 8 - ahead_; }

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
  bool bin = context.mps != 0;
  if (value_ < scaled) {
    context.state = static_cast<std::uint8_t>(context.state + (context.state < kLastAdaptiveState));
  } else {
    value_ -= scaled;
    range_ = lps;
    bin = !bin;
    context.mps = static_cast<std::uint8_t>(context.mps ^ (context.state == 0));
    context.state = kNextAfterLps[context.state];
  }
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

}  // namespace bpg::intra
