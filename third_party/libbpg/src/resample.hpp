#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/picture.hpp"

namespace bpg {

/// A row with room for a filter to reach over both ends.
class PaddedRow {
 public:
  static constexpr int kPad = 8;

  PaddedRow() = default;
  explicit PaddedRow(int width)
      : width_(width), samples_(static_cast<std::size_t>(width) + 2 * kPad) {}

  [[nodiscard]] std::int16_t* data() { return samples_.data() + kPad; }
  /// Repeats the first and last sample into the padding.
  void extend();

 private:
  int width_ = 0;
  std::vector<std::int16_t> samples_;
};

/// A row of intermediate values v = 128 * high + low with 0 <= low < 128. Weighted sums of either
/// part fit 16 bits where those of v do not.
struct SplitRow {
  SplitRow() = default;
  explicit SplitRow(int width) : high(width), low(width) {}

  void extend() {
    high.extend();
    low.extend();
  }

  PaddedRow high;
  PaddedRow low;
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
  void halve_width(int shift, SplitRow& out);
  void halve_height(int plane_row);
  void store(int plane_row);

  Format format_;
  Plane plane_;
  int width_;  ///< of the stored plane
  int rows_in_ = 0;
  int rows_out_ = 0;
  PaddedRow row_;
  PaddedRow even_;  ///< row_, taken apart
  PaddedRow odd_;
  std::vector<SplitRow>
      ring_;  ///< the last rows at half width: as many as the vertical filter has taps
  std::vector<std::uint16_t> samples_;  ///< one stored row
};

/// Gives the rows of one stored chroma plane at full size, minus mid-level.
class ChromaReader {
 public:
  ChromaReader(const Format& format, const ConstPlane& plane);

  /// Row `y` of the picture; lives until the next call. Rows 2i and 2i+1 share work when they are
  /// asked for one after the other.
  const std::int16_t* row(int y);

 private:
  void double_height(int plane_row);
  void double_width(SplitRow& in, int shift);

  Format format_;
  ConstPlane plane_;
  int width_;  ///< of the stored plane
  int height_;
  int doubled_row_ = -1;  ///< the stored row that even_ and odd_ were made from
  SplitRow even_;         ///< 4:2:0: picture rows 2i and 2i+1 at half width
  SplitRow odd_;
  std::vector<std::uint16_t> samples_;
  std::vector<std::int16_t> full_;
};

}  // namespace bpg
