#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "bpg/color.hpp"
#include "sample_io.hpp"

namespace bpg {
namespace {

constexpr int kRowStep = 16;
// A flat picture takes as long as neighbours that differ by so many 8-bit levels add to it. Fitted
// to x265's time on the Kodak photos; only the order of pictures depends on it.
constexpr double kFlatCost = 5.0;

double mean_difference(const ConstImageView& image) {
  const int peak = level_max(image.type, 8);
  RowReader reader(image, peak);
  std::vector<std::uint16_t> row(static_cast<std::size_t>(image.width));
  std::uint64_t sum = 0;
  std::uint64_t count = 0;
  for (int y = 0; y < image.height; y += kRowStep) {
    reader.read(std::min(1, image.channels - 1), y, row.data());
    for (std::size_t x = 1; x < row.size(); ++x) {
      sum += static_cast<std::uint64_t>(std::abs(row[x] - row[x - 1]));
    }
    count += row.size();
  }
  return static_cast<double>(sum) / static_cast<double>(count) * 255.0 / peak;
}

}  // namespace

double encoding_cost(const ConstImageView& image) {
  return static_cast<double>(image.width) * image.height * (kFlatCost + mean_difference(image));
}

}  // namespace bpg
