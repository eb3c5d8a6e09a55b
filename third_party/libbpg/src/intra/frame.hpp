#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "intra/parameters.hpp"

namespace bpg::intra {

/// Samples of one plane, whole coding blocks.
class SamplePlane {
 public:
  SamplePlane(int width, int height)
      : width_(width),
        height_(height),
        samples_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {}

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }
  std::uint16_t* row(int y) { return samples_.data() + offset(y); }
  [[nodiscard]] const std::uint16_t* row(int y) const { return samples_.data() + offset(y); }

 private:
  [[nodiscard]] std::size_t offset(int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_);
  }

  int width_;
  int height_;
  std::vector<std::uint16_t> samples_;
};

/// What is remembered of 4x4 luma samples, the smallest transform block.
struct Unit {
  /// Number of the slice's part within one tile that the block is in; 0 until it is decoded.
  /// Samples are available to each other's prediction when their regions are the same.
  std::uint32_t region = 0;
  std::int8_t qp = 0;  ///< QpY
  std::uint8_t intra_mode = 0;
  std::uint8_t depth = 0;  ///< of the coding quadtree
  bool unfiltered : 1;     ///< lossless or PCM: in-loop filters leave it alone
  bool left_edge : 1;      ///< a transform block begins at its left
  bool top_edge : 1;

  Unit() : unfiltered(false), left_edge(false), top_edge(false) {}
};

inline constexpr int kUnitShift = 2;

/// A picture being decoded.
class Frame {
 public:
  explicit Frame(const Sequence& s)
      : units_across_(s.width >> kUnitShift),
        units_down_(s.height >> kUnitShift),
        units_(static_cast<std::size_t>(units_across_) * static_cast<std::size_t>(units_down_)) {
    for (int plane = 0; plane < s.planes(); ++plane) {
      planes_.emplace_back(s.width >> s.shift_x(plane), s.height >> s.shift_y(plane));
    }
  }

  SamplePlane& plane(int index) { return planes_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const SamplePlane& plane(int index) const {
    return planes_[static_cast<std::size_t>(index)];
  }

  /// The unit of a luma sample inside the picture.
  Unit& unit(int x, int y) { return units_[index(x, y)]; }
  [[nodiscard]] const Unit& unit(int x, int y) const { return units_[index(x, y)]; }
  /// The unit of a luma sample when it is in the picture and in `region`, else null.
  [[nodiscard]] const Unit* available(int x, int y, std::uint32_t region) const {
    if (x < 0 || y < 0 || x >> kUnitShift >= units_across_ || y >> kUnitShift >= units_down_) {
      return nullptr;
    }
    const Unit& found = units_[index(x, y)];
    return found.region == region ? &found : nullptr;
  }
  /// Applies `change` to the units of a square of luma samples inside the picture.
  template <class Change>
  void change_units(int x, int y, int size, const Change& change) {
    for (int row = y; row < y + size; row += 1 << kUnitShift) {
      for (int column = x; column < x + size; column += 1 << kUnitShift) {
        change(unit(column, row));
      }
    }
  }

 private:
  [[nodiscard]] std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y >> kUnitShift) * static_cast<std::size_t>(units_across_) +
           static_cast<std::size_t>(x >> kUnitShift);
  }

  int units_across_;
  int units_down_;
  std::vector<Unit> units_;
  std::vector<SamplePlane> planes_;
};

}  // namespace bpg::intra
