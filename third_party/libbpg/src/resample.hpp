#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/picture.hpp"

namespace bpg {

/// A row with room for a filter to reach over both ends.
class PaddedRow {
 public:
  static constexpr int kPad = 8;

  explicit PaddedRow(int width)
      : width_(width), samples_(static_cast<std::size_t>(width) + 2 * kPad) {}

  [[nodiscard]] std::int16_t* data() { return samples_.data() + kPad; }
  /// Repeats the first and last sample into the padding.
  void extend();

 private:
  int width_;
  std::vector<std::int16_t> samples_;
};

/// Takes the full-size rows of one chroma plane from top to bottom, minus mid-level, and writes the
/// plane as it is stored.
class ChromaWriter {
 public:
  ChromaWriter(const Format& format, const Plane& plane);

  /// Where the next row goes: format.width samples.
  [[nodiscard]] std::int16_t* row() { return row_.data(); }
  /// Takes that row.
  void push();

 private:
  static constexpr int kTaps = 10;

  void filter_and_store(int plane_row);

  Format format_;
  Plane plane_;
  int width_;  ///< of the stored plane
  int rows_in_ = 0;
  int rows_out_ = 0;
  PaddedRow row_;
  std::vector<std::uint16_t> samples_;                 ///< one stored row
  std::array<std::vector<std::int16_t>, kTaps> ring_;  ///< 4:2:0: the last rows, at half width
};

/// Gives the rows of one stored chroma plane at full size, minus mid-level.
class ChromaReader {
 public:
  ChromaReader(const Format& format, const ConstPlane& plane);

  /// Row `y` of the picture; lives until the next call.
  const std::int16_t* row(int y);

 private:
  void load(int y);
  void interpolate_vertically(int y);

  Format format_;
  ConstPlane plane_;
  int width_;  ///< of the stored plane
  int height_;
  PaddedRow row_;
  std::vector<std::uint16_t> samples_;
  std::vector<std::int16_t> full_;
};

}  // namespace bpg
