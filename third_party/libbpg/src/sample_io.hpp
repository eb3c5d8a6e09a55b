#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/picture.hpp"

namespace bpg {

/// The largest integer that samples of a type become on their way to or from a picture: 255 or
/// 65535. Floats follow the picture's bit depth, integers are what they are.
[[nodiscard]] int level_max(SampleType type, int bit_depth);

/// Reads rows of an image as integers 0..level_max.
class RowReader {
 public:
  RowReader(const ConstImageView& image, int level_max);

  /// Writes image.width levels.
  void read(int channel, int y, std::uint16_t* levels);
  /// What was met in the rows read so far.
  [[nodiscard]] RangeReport range() const { return range_; }

 private:
  template <class Sample>
  const Sample* samples(int channel, int y);
  template <class Sample>
  void read_floats(int channel, int y, std::uint16_t* levels);

  ConstImageView image_;
  int level_max_;
  std::vector<std::byte> gathered_;  ///< one row, for samples that do not lie side by side
  RangeReport range_;
};

/// Rows of levels, one for each channel of an image.
using LevelRows = std::array<const std::uint16_t*, 4>;

/// Writes rows of integers 0..level_max to an image.
class RowWriter {
 public:
  RowWriter(const ImageView& image, int level_max);

  /// Writes row `y` of all channels.
  void write(int y, const LevelRows& levels);

 private:
  template <class Sample>
  void put(int y, const LevelRows& levels);

  ImageView image_;
  int level_max_;
  std::vector<std::byte>
      scattered_;  ///< a row of each channel, for samples that do not lie side by side
};

/// Reads `count` samples of a plane, which are bytes at bit depth 8 and 16-bit above.
void load_plane_row(const ConstPlane& plane, int bit_depth, int y, int count,
                    std::uint16_t* samples);
void store_plane_row(const Plane& plane, int bit_depth, int y, int count,
                     const std::uint16_t* samples);

}  // namespace bpg
