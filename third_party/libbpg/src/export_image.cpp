#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alpha.hpp"
#include "bpg/color.hpp"
#include "bpg/error.hpp"
#include "color_matrix.hpp"
#include "color_rows.hpp"
#include "resample.hpp"
#include "sample_io.hpp"

namespace bpg {
namespace {

using LevelRow = std::vector<std::uint16_t>;

void check(const Format& format, const ImageView& dst) {
  if (dst.width != format.width || dst.height != format.height || dst.width < 1 || dst.height < 1) {
    throw DecodeError("the image is " + std::to_string(dst.width) + "x" +
                      std::to_string(dst.height) + " but the picture " +
                      std::to_string(format.width) + "x" + std::to_string(format.height));
  }
  if (dst.channels != 1 && dst.channels != 3 && dst.channels != 4) {
    throw DecodeError("channels must be 1, 3 or 4, not " + std::to_string(dst.channels));
  }
  if (dst.channels == 1 && format.chroma != Chroma::gray) {
    throw DecodeError("channels must be 3 or 4 for a colour picture, not 1");
  }
  if (format.bit_depth < 8 || format.bit_depth > 14) {
    throw DecodeError("bit_depth must be 8..14, not " + std::to_string(format.bit_depth));
  }
}

/// Takes the planes of a picture row by row to an image.
class Exporter {
 public:
  Exporter(const PictureView& src, const ImageView& dst);

  void run();

 private:
  void convert_color(int y);
  void apply_fourth_plane(int y);
  void write_row(int y);

  [[nodiscard]] bool is_gray() const { return src_.format.chroma == Chroma::gray; }
  [[nodiscard]] bool divides() const {
    return src_.format.alpha == Alpha::premultiplied && dst_.channels == 4;
  }
  [[nodiscard]] bool has_alpha() const {
    return src_.format.alpha == Alpha::straight || src_.format.alpha == Alpha::premultiplied;
  }
  std::uint16_t* color(int c) { return color_[static_cast<std::size_t>(c)].data(); }

  PictureView src_;
  ImageView dst_;
  int width_;
  int height_;
  int color_channels_;  ///< distinct colours: 1 for a gray picture, else 3
  int level_max_;
  FromPlanes k_;
  RowWriter writer_;
  std::array<LevelRow, 3> color_;  ///< R, G, B, or gray alone
  LevelRow luma_;
  LevelRow fourth_;  ///< alpha levels, or W samples
  std::optional<ChromaReader> chroma1_;
  std::optional<ChromaReader> chroma2_;
};

Exporter::Exporter(const PictureView& src, const ImageView& dst)
    : src_(src),
      dst_(dst),
      width_(dst.width),
      height_(dst.height),
      color_channels_(is_gray() ? 1 : 3),
      level_max_(level_max(dst.type, src.format.bit_depth)),
      k_(from_planes(src.format, level_max_ == 255 ? 8 : 16)),
      writer_(dst, level_max_),
      luma_(static_cast<std::size_t>(width_)) {
  for (int c = 0; c < color_channels_; ++c) {
    color_[static_cast<std::size_t>(c)].resize(static_cast<std::size_t>(width_));
  }
  if (dst.channels == 4 || src.format.alpha == Alpha::w_plane) {
    fourth_.assign(static_cast<std::size_t>(width_), static_cast<std::uint16_t>(level_max_));
  }
  if (!is_gray()) {
    chroma1_.emplace(src.format, src.planes[1]);
    chroma2_.emplace(src.format, src.planes[2]);
  }
}

void Exporter::run() {
  for (int y = 0; y < height_; ++y) {
    convert_color(y);
    apply_fourth_plane(y);
    write_row(y);
  }
}

void Exporter::convert_color(int y) {
  const Scale unchanged{k_.one, k_.offset, k_.shift, k_.max};
  load_plane_row(src_.planes[0], src_.format.bit_depth, y, width_, luma_.data());
  if (is_gray()) {
    scale_row(luma_.data(), width_, unchanged, color(0));
    return;
  }
  const std::int16_t* chroma1 = chroma1_->row(y);
  const std::int16_t* chroma2 = chroma2_->row(y);
  if (src_.format.color_space == ColorSpace::rgb) {
    scale_row(luma_.data(), width_, unchanged, color(1));
    uncenter_row(chroma1, width_, k_.mid, color(2));
    scale_row(color(2), width_, unchanged, color(2));
    uncenter_row(chroma2, width_, k_.mid, color(0));
    scale_row(color(0), width_, unchanged, color(0));
    return;
  }
  color_row(luma_.data(), chroma1, chroma2, width_, k_, k_.red, color(0));
  color_row(luma_.data(), chroma1, chroma2, width_, k_, k_.green, color(1));
  color_row(luma_.data(), chroma1, chroma2, width_, k_, k_.blue, color(2));
}

void Exporter::apply_fourth_plane(int y) {
  const int bits = src_.format.bit_depth;
  if (src_.format.alpha == Alpha::w_plane) {
    load_plane_row(src_.planes[kAlphaPlane], bits, y, width_, fourth_.data());
    for (int c = 0; c < color_channels_; ++c) {
      apply_w_row(color(c), fourth_.data(), width_, bits);
    }
    return;
  }
  if (!has_alpha() || dst_.channels != 4) {
    return;
  }
  load_plane_row(src_.planes[kAlphaPlane], bits, y, width_, fourth_.data());
  scale_row(fourth_.data(), width_, {k_.alpha_one, k_.alpha_offset, k_.shift, k_.max},
            fourth_.data());
  if (divides()) {
    for (int c = 0; c < color_channels_; ++c) {
      divide_row(color(c), fourth_.data(), width_, level_max_);
    }
  }
}

void Exporter::write_row(int y) {
  const int last_color = dst_.channels == 1 ? 1 : 3;
  for (int c = 0; c < last_color; ++c) {
    writer_.write(c, y, color(color_channels_ == 1 ? 0 : c));
  }
  if (dst_.channels == 4) {
    if (!has_alpha()) {
      std::fill(fourth_.begin(), fourth_.end(), static_cast<std::uint16_t>(level_max_));
    }
    writer_.write(3, y, fourth_.data());
  }
}

}  // namespace

void export_image(const PictureView& src, const ImageView& dst) {
  check(src.format, dst);
  Exporter(src, dst).run();
}

}  // namespace bpg
