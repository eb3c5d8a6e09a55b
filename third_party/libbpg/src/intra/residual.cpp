#include "intra/residual.hpp"

#include <algorithm>
#include <limits>

#include "intra/prediction.hpp"

namespace bpg::intra {
namespace {

constexpr int kMaxGreater1Flags = 8;
constexpr int kMaxLevelBits = 16;

enum Scan { kDiagonalScan, kHorizontalScan, kVerticalScan };

struct Position {
  std::uint8_t x;
  std::uint8_t y;
};

// 6.5.3 to 6.5.5: the scan of a square of 2^log2 positions, log2 <= 3.
struct ScanOrder {
  std::array<Position, 64> at{};

  constexpr ScanOrder(int scan, int log2) {
    const int size = 1 << log2;
    std::size_t n = 0;
    if (scan == kDiagonalScan) {
      for (int diagonal = 0; diagonal < 2 * size - 1; ++diagonal) {
        for (int x = 0; x <= diagonal; ++x) {
          if (x < size && diagonal - x < size) {
            at[n++] = {static_cast<std::uint8_t>(x), static_cast<std::uint8_t>(diagonal - x)};
          }
        }
      }
      return;
    }
    for (int i = 0; i < size; ++i) {
      for (int j = 0; j < size; ++j) {
        const auto major = static_cast<std::uint8_t>(i);
        const auto minor = static_cast<std::uint8_t>(j);
        at[n++] = scan == kHorizontalScan ? Position{minor, major} : Position{major, minor};
      }
    }
  }
};

constexpr ScanOrder kScans[3][4] = {
    {{kDiagonalScan, 0}, {kDiagonalScan, 1}, {kDiagonalScan, 2}, {kDiagonalScan, 3}},
    {{kHorizontalScan, 0}, {kHorizontalScan, 1}, {kHorizontalScan, 2}, {kHorizontalScan, 3}},
    {{kVerticalScan, 0}, {kVerticalScan, 1}, {kVerticalScan, 2}, {kVerticalScan, 3}}};

// Table 9-50, for 4x4 blocks.
constexpr std::uint8_t kSmallBlockContext[16] = {0, 1, 4, 5, 2, 3, 4, 5, 6, 6, 8, 8, 7, 7, 8, 8};

int scan_of(const Sequence& s, const ResidualBlock& block) {
  const bool by_mode =
      block.log2 == 2 || (block.log2 == 3 && (block.plane == 0 || s.chroma_idc == 3));
  if (by_mode && block.intra_mode >= 6 && block.intra_mode <= 14) {
    return kVerticalScan;
  }
  if (by_mode && block.intra_mode >= 22 && block.intra_mode <= 30) {
    return kHorizontalScan;
  }
  return kDiagonalScan;
}

class ResidualReader {
 public:
  ResidualReader(CabacReader& cabac, ContextSet& contexts, const Sequence& s,
                 const PictureParameters& pps, const ResidualBlock& block, Coefficients& out)
      : cabac_(cabac), contexts_(contexts), s_(s), pps_(pps), block_(block), out_(out) {}

  void read() {
    std::fill_n(out_.level.begin(), std::size_t{1} << (2 * block_.log2), 0);
    out_.transform_skip = pps_.transform_skip && !block_.lossless &&
                          block_.log2 <= pps_.max_transform_skip &&
                          cabac_.decision(contexts_.transform_skip[chroma() ? 1 : 0]);
    skipped_ = out_.transform_skip || block_.lossless;
    hides_signs_ = pps_.sign_hiding && !block_.lossless &&
                   !uses_implicit_rdpcm(s_, block_, out_.transform_skip);
    scan_ = scan_of(s_, block_);
    const Position last = read_last_position();
    read_sub_blocks(last);
  }

 private:
  // Coefficients of a sub-block that are not zero, in the order in which they are coded.
  struct Found {
    std::array<std::uint8_t, 16> scan_position;
    std::array<std::int32_t, 16> level;
    int count = 0;
  };

  [[nodiscard]] bool chroma() const { return block_.plane > 0; }

  int read_last_prefix(std::array<Context, 18>& contexts) {
    const int offset = chroma() ? 15 : 3 * (block_.log2 - 2) + ((block_.log2 - 1) >> 2);
    const int shift = chroma() ? block_.log2 - 2 : (block_.log2 + 1) >> 2;
    const int longest = 2 * block_.log2 - 1;
    int prefix = 0;
    while (prefix < longest &&
           cabac_.decision(contexts[static_cast<std::size_t>(offset + (prefix >> shift))])) {
      ++prefix;
    }
    return prefix;
  }

  int read_last_suffix(int prefix) {
    if (prefix < 4) {
      return prefix;
    }
    const int bits = (prefix >> 1) - 1;
    return (1 << bits) * (2 + (prefix & 1)) + static_cast<int>(cabac_.bypass_bits(bits));
  }

  // Below 2^log2 each: the longest prefix of 2 * log2 - 1 gives at most that with its suffix.
  Position read_last_position() {
    const int prefix_x = read_last_prefix(contexts_.last_x);
    const int prefix_y = read_last_prefix(contexts_.last_y);
    const auto x = static_cast<std::uint8_t>(read_last_suffix(prefix_x));
    const auto y = static_cast<std::uint8_t>(read_last_suffix(prefix_y));
    return scan_ == kVerticalScan ? Position{y, x} : Position{x, y};
  }

  void read_sub_blocks(Position last) {
    const ScanOrder& blocks = kScans[scan_][block_.log2 - 2];
    const ScanOrder& inside = kScans[scan_][2];
    std::size_t last_block = 0;
    while (blocks.at[last_block].x != last.x >> 2 || blocks.at[last_block].y != last.y >> 2) {
      ++last_block;
    }
    int last_position = 0;
    while (inside.at[static_cast<std::size_t>(last_position)].x != (last.x & 3) ||
           inside.at[static_cast<std::size_t>(last_position)].y != (last.y & 3)) {
      ++last_position;
    }
    for (std::size_t i = last_block + 1; i-- > 0;) {
      const Position at = blocks.at[i];
      const int neighbours = coded_neighbours(at);
      const bool is_last = i == last_block;
      const bool ends = is_last || i == 0;  // both are coded without a flag
      if (!ends && !read_coded_flag(neighbours)) {
        continue;
      }
      coded_[at.y][at.x] = true;
      Found found;
      if (is_last) {
        found.scan_position[0] = static_cast<std::uint8_t>(last_position);
        found.count = 1;
      }
      read_significance(at, neighbours, is_last ? last_position - 1 : 15, !ends, found);
      if (found.count > 0) {
        read_levels(i == 0, found);
        store(at, found);
      }
    }
  }

  // Bit 0: the sub-block to the right has coefficients; bit 1: the one below.
  int coded_neighbours(Position at) const {
    return (coded_[at.y][at.x + 1U] ? 1 : 0) | (coded_[at.y + 1U][at.x] ? 2 : 0);
  }

  bool read_coded_flag(int neighbours) {
    return cabac_.decision(contexts_.coded_sub_block[(chroma() ? 2U : 0U) + (neighbours != 0)]);
  }

  void read_significance(Position block, int neighbours, int from, bool infer_dc, Found& found) {
    for (int n = from; n >= 0; --n) {
      // A sub-block that is said to be coded has a coefficient; if no other, the first.
      const bool inferred = n == 0 && infer_dc && found.count == 0;
      if (inferred ||
          cabac_.decision(contexts_.significant[significance_context(block, neighbours, n)])) {
        found.scan_position[static_cast<std::size_t>(found.count++)] = static_cast<std::uint8_t>(n);
      }
    }
  }

  // 9.3.4.2.5.
  std::size_t significance_context(Position block, int neighbours, int n) const {
    const std::size_t base = chroma() ? 27 : 0;
    if (s_.transform_skip_context && skipped_) {
      return chroma() ? 43 : 42;
    }
    const Position at = kScans[scan_][2].at[static_cast<std::size_t>(n)];
    if (block_.log2 == 2) {
      return base + kSmallBlockContext[at.y * 4 + at.x];
    }
    const bool first_block = block.x == 0 && block.y == 0;
    if (first_block && n == 0) {
      return base;
    }
    std::size_t context = pattern_context(at, neighbours);
    if (chroma()) {
      context += block_.log2 == 3 ? 9 : 12;
    } else {
      context += first_block ? 0 : 3;
      context += block_.log2 == 3 ? (scan_ == kDiagonalScan ? 9 : 15) : 21;
    }
    return base + context;
  }

  static std::size_t pattern_context(Position at, int neighbours) {
    const auto falling = [](int distance) -> std::size_t {
      return distance == 0 ? 2 : distance == 1 ? 1 : 0;
    };
    switch (neighbours) {
      case 0:
        return at.x + at.y == 0 ? 2 : at.x + at.y < 3 ? 1 : 0;
      case 1:
        return falling(at.y);
      case 2:
        return falling(at.x);
      default:
        return 2;
    }
  }

  void read_levels(bool first_block, Found& found) {
    const int escape_at = read_greater_flags(first_block, found);
    const auto count = static_cast<std::size_t>(found.count);
    const bool hidden = hides_signs_ && found.scan_position[0] - found.scan_position[count - 1] > 3;
    const int sign_count = found.count - (hidden ? 1 : 0);
    const std::uint32_t signs = cabac_.bypass_bits(sign_count) << (found.count - sign_count);
    read_remaining(escape_at, found);
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      sum += found.level[i];
      if ((signs >> (count - 1 - i) & 1U) != 0) {
        found.level[i] = -found.level[i];
      }
    }
    if (hidden && sum % 2 != 0) {
      found.level[count - 1] = -found.level[count - 1];
    }
  }

  // Sets levels to 1, 2 or 3; gives the index of the one coefficient whose level may be 3.
  int read_greater_flags(bool first_block, Found& found) {
    const std::size_t set = (first_block || chroma() ? 0U : 2U) + (greater1_state_ == 0 ? 1U : 0U);
    const std::size_t base = set * 4 + (chroma() ? 16U : 0U);
    greater1_state_ = 1;
    int first_greater = -1;
    for (int i = 0; i < found.count; ++i) {
      int& level = found.level[static_cast<std::size_t>(i)];
      level = 1;
      if (i >= kMaxGreater1Flags) {
        continue;
      }
      if (cabac_.decision(contexts_.greater1[base + std::min<std::size_t>(3, greater1_state_)])) {
        level = 2;
        greater1_state_ = 0;
        first_greater = first_greater < 0 ? i : first_greater;
      } else if (greater1_state_ > 0) {
        ++greater1_state_;
      }
    }
    if (first_greater >= 0 && cabac_.decision(contexts_.greater2[set + (chroma() ? 4U : 0U)])) {
      found.level[static_cast<std::size_t>(first_greater)] = 3;
    }
    return first_greater;
  }

  void read_remaining(int first_greater, Found& found) {
    std::uint8_t& statistics =
        contexts_.rice_statistics[(chroma() ? 0U : 2U) + (skipped_ ? 1U : 0U)];
    int rice = s_.persistent_rice ? statistics / 4 : 0;
    bool first = true;
    for (int i = 0; i < found.count; ++i) {
      int& level = found.level[static_cast<std::size_t>(i)];
      const int most = i >= kMaxGreater1Flags ? 1 : i == first_greater ? 3 : 2;
      if (level != most) {
        continue;
      }
      const int remaining = read_remaining_level(rice);
      level += remaining;
      if (level > std::numeric_limits<std::int16_t>::max() + 1) {
        damaged("a coefficient is out of range");
      }
      if (level > 3 << rice) {
        rice = s_.persistent_rice ? rice + 1 : std::min(rice + 1, 4);
      }
      if (first && s_.persistent_rice) {
        update_statistics(remaining, statistics);
      }
      first = false;
    }
  }

  // 9.3.3.11 without extended_precision_processing.
  int read_remaining_level(int rice) {
    int prefix = 0;
    while (cabac_.bypass()) {
      if (++prefix - 3 + rice > kMaxLevelBits) {
        damaged("a coefficient is out of range");
      }
    }
    if (prefix <= 3) {
      return (prefix << rice) + static_cast<int>(cabac_.bypass_bits(rice));
    }
    return (((1 << (prefix - 3)) + 3 - 1) << rice) +
           static_cast<int>(cabac_.bypass_bits(prefix - 3 + rice));
  }

  static void update_statistics(int remaining, std::uint8_t& statistics) {
    if (remaining >= 3 << (statistics / 4)) {
      ++statistics;
    } else if (2 * remaining < 1 << (statistics / 4) && statistics > 0) {
      --statistics;
    }
  }

  void store(Position block, const Found& found) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(found.count); ++i) {
      const Position at = kScans[scan_][2].at[found.scan_position[i]];
      const int x = block.x * 4 + at.x;
      const int y = block.y * 4 + at.y;
      // 32768 is only legal as a negative level.
      out_.level[static_cast<std::size_t>(y << block_.log2 | x)] =
          std::min<std::int32_t>(found.level[i], std::numeric_limits<std::int16_t>::max());
    }
  }

  CabacReader& cabac_;
  ContextSet& contexts_;
  const Sequence& s_;
  const PictureParameters& pps_;
  const ResidualBlock& block_;
  Coefficients& out_;
  int scan_ = kDiagonalScan;
  bool skipped_ = false;
  bool hides_signs_ = false;
  unsigned greater1_state_ = 1;
  bool coded_[9][9] = {};  // by row and column of sub-blocks, one more than there are
};

}  // namespace

bool uses_implicit_rdpcm(const Sequence& s, const ResidualBlock& block, bool transform_skip) {
  return s.implicit_rdpcm && (transform_skip || block.lossless) &&
         (block.intra_mode == kHorizontal || block.intra_mode == kVertical);
}

void read_residual(CabacReader& cabac, ContextSet& contexts, const Sequence& sequence,
                   const PictureParameters& pps, const ResidualBlock& block, Coefficients& out) {
  ResidualReader(cabac, contexts, sequence, pps, block, out).read();
}

}  // namespace bpg::intra
