#include "intra/prediction.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace bpg::intra {
namespace {

constexpr int kMaxSize = 32;

// Tables 8-5 and 8-6, by mode.
constexpr int kAngle[kLastMode + 1] = {0,  0,  32,  26,  21,  17,  13,  9,   5,   2,   0,   -2,
                                       -5, -9, -13, -17, -21, -26, -32, -26, -21, -17, -13, -9,
                                       -5, -2, 0,   2,   5,   9,   13,  17,  21,  26,  32};
constexpr int kInverseAngle[15] = {-4096, -1638, -910, -630, -482, -390,  -315, -256,
                                   -315,  -390,  -482, -630, -910, -1638, -4096};
constexpr int kFirstNegative = 11;

// The neighbours of a block on one line: from the lowest on its left up to the corner and on to
// the one farthest to the right above it.
class Border {
 public:
  explicit Border(int size) : size_(size) {}

  [[nodiscard]] int count() const { return 4 * size_ + 1; }
  int& operator[](int i) { return samples_[static_cast<std::size_t>(i)]; }
  int operator[](int i) const { return samples_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] int corner() const { return (*this)[2 * size_]; }
  [[nodiscard]] int left(int y) const { return (*this)[2 * size_ - 1 - y]; }
  [[nodiscard]] int top(int x) const { return (*this)[2 * size_ + 1 + x]; }

 private:
  int size_;
  std::array<int, 4 * kMaxSize + 1> samples_{};
};

// 8.4.4.2.2: what is not there takes the value of the sample before it.
class BorderReader {
 public:
  BorderReader(const Sequence& s, const Frame& frame, std::uint32_t region, const Block& block)
      : s_(s), frame_(frame), region_(region), block_(block), border_(1 << block.log2) {}

  Border read() {
    const int size = 1 << block_.log2;
    const int step_y = 4 >> s_.shift_y(block_.plane);
    const int step_x = 4 >> s_.shift_x(block_.plane);
    for (int y = 2 * size - step_y; y >= 0; y -= step_y) {
      add_run(-1, y + step_y - 1, 0, -1, step_y);
    }
    add_run(-1, -1, 0, 0, 1);
    for (int x = 0; x < 2 * size; x += step_x) {
      add_run(x, -1, 1, 0, step_x);
    }
    if (!found_) {
      std::fill_n(&border_[0], border_.count(), 1 << (s_.bit_depth - 1));
    }
    return border_;
  }

 private:
  // Samples of one unit beside the block, from (dx, dy) on.
  void add_run(int dx, int dy, int step_x, int step_y, int count) {
    const int x = block_.x + dx;
    const int y = block_.y + dy;
    const bool available =
        frame_.available(x * (1 << s_.shift_x(block_.plane)), y * (1 << s_.shift_y(block_.plane)),
                         region_) != nullptr;
    for (int i = 0; i < count; ++i) {
      if (available) {
        border_[at_] = frame_.plane(block_.plane).row(y + i * step_y)[x + i * step_x];
      } else if (found_) {
        border_[at_] = border_[at_ - 1];
      }
      if (available && !found_) {
        std::fill_n(&border_[0], at_, border_[at_]);
        found_ = true;
      }
      ++at_;
    }
  }

  const Sequence& s_;
  const Frame& frame_;
  std::uint32_t region_;
  Block block_;
  Border border_;
  int at_ = 0;
  bool found_ = false;
};

bool wants_smoothing(int mode, int log2) {
  if (mode == kDc || log2 == 2) {
    return false;
  }
  const int threshold = log2 == 3 ? 7 : log2 == 4 ? 1 : 0;
  return std::min(std::abs(mode - kVertical), std::abs(mode - kHorizontal)) > threshold;
}

bool is_flat(const Border& border, int size, int bit_depth) {
  const int limit = 1 << (bit_depth - 5);
  const int corner = border.corner();
  return std::abs(corner + border.top(2 * size - 1) - 2 * border.top(size - 1)) < limit &&
         std::abs(corner + border.left(2 * size - 1) - 2 * border.left(size - 1)) < limit;
}

// 8.4.4.2.3: straight lines between the corner and the two ends.
Border interpolated(const Border& border, int size) {
  Border out = border;
  const int corner = 2 * size;
  for (int i = 1; i < corner; ++i) {
    out[corner - i] = ((corner - i) * border.corner() + i * border[0] + size) / corner;
    out[corner + i] = ((corner - i) * border.corner() + i * border[2 * corner] + size) / corner;
  }
  return out;
}

Border smoothed(const Border& border) {
  Border out = border;
  for (int i = 1; i + 1 < border.count(); ++i) {
    out[i] = (border[i - 1] + 2 * border[i] + border[i + 1] + 2) >> 2;
  }
  return out;
}

// Where a block's samples go.
class Target {
 public:
  Target(Frame& frame, const Block& block) : plane_(frame.plane(block.plane)), block_(block) {}
  void set(int x, int y, int value) {
    plane_.row(block_.y + y)[block_.x + x] = static_cast<std::uint16_t>(value);
  }

 private:
  SamplePlane& plane_;
  Block block_;
};

void predict_planar(const Border& border, int log2, Target& out) {
  const int size = 1 << log2;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const int across = (size - 1 - x) * border.left(y) + (x + 1) * border.top(size);
      const int down = (size - 1 - y) * border.top(x) + (y + 1) * border.left(size);
      out.set(x, y, (across + down + size) >> (log2 + 1));
    }
  }
}

void predict_dc(const Border& border, int log2, bool edges, Target& out) {
  const int size = 1 << log2;
  int sum = size;
  for (int i = 0; i < size; ++i) {
    sum += border.left(i) + border.top(i);
  }
  const int dc = sum >> (log2 + 1);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      out.set(x, y, dc);
    }
  }
  if (edges) {
    for (int i = 1; i < size; ++i) {
      out.set(i, 0, (border.top(i) + 3 * dc + 2) >> 2);
      out.set(0, i, (border.left(i) + 3 * dc + 2) >> 2);
    }
    out.set(0, 0, (border.left(0) + 2 * dc + border.top(0) + 2) >> 2);
  }
}

// 8.4.4.2.6. Modes below 18 are the ones above, mirrored on the diagonal.
void predict_angular(const Border& border, int log2, int mode, Target& out) {
  const int size = 1 << log2;
  const bool vertical = mode >= 18;
  const int direction = vertical ? 1 : -1;
  const int angle = kAngle[mode];
  std::array<int, 3 * kMaxSize + 1> line{};  // the standard's ref[] from -size to 2 * size
  const auto ref = [&line](int i) -> int& { return line[static_cast<std::size_t>(i + kMaxSize)]; };
  for (int i = 0; i <= 2 * size; ++i) {
    ref(i) = border[2 * size + direction * i];
  }
  const int lowest = (size * angle) >> 5;
  for (int i = -1; lowest < -1 && i >= lowest; --i) {
    const int inverse = kInverseAngle[mode - kFirstNegative];
    ref(i) = border[2 * size - direction * ((i * inverse + 128) >> 8)];
  }
  for (int along = 0; along < size; ++along) {
    const int whole = ((along + 1) * angle) >> 5;
    const int part = ((along + 1) * angle) & 31;
    for (int across = 0; across < size; ++across) {
      const int first = ref(across + whole + 1);
      const int value =
          part == 0 ? first : ((32 - part) * first + part * ref(across + whole + 2) + 16) >> 5;
      out.set(vertical ? across : along, vertical ? along : across, value);
    }
  }
}

// The first column of vertical prediction, the first row of horizontal prediction.
void correct_edge(const Border& border, int size, int mode, int peak, Target& out) {
  for (int i = 0; i < size; ++i) {
    if (mode == kVertical) {
      out.set(0, i, std::clamp(border.top(0) + ((border.left(i) - border.corner()) >> 1), 0, peak));
    } else {
      out.set(i, 0, std::clamp(border.left(0) + ((border.top(i) - border.corner()) >> 1), 0, peak));
    }
  }
}

}  // namespace

void predict_intra(const Sequence& s, Frame& frame, std::uint32_t region, const Block& block,
                   int mode, bool boundary_filter) {
  const int size = 1 << block.log2;
  Border border = BorderReader(s, frame, region, block).read();
  if (!s.smoothing_disabled && (block.plane == 0 || s.chroma_idc == 3) &&
      wants_smoothing(mode, block.log2)) {
    const bool strong = s.strong_smoothing && block.plane == 0 && size == kMaxSize &&
                        is_flat(border, size, s.bit_depth);
    border = strong ? interpolated(border, size) : smoothed(border);
  }
  Target out(frame, block);
  const bool edges = block.plane == 0 && size < kMaxSize;
  if (mode == kPlanar) {
    predict_planar(border, block.log2, out);
  } else if (mode == kDc) {
    predict_dc(border, block.log2, edges, out);
  } else {
    predict_angular(border, block.log2, mode, out);
    if (edges && boundary_filter && (mode == kVertical || mode == kHorizontal)) {
      correct_edge(border, size, mode, (1 << s.bit_depth) - 1, out);
    }
  }
}

}  // namespace bpg::intra
