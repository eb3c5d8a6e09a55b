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
  void apply_w(int y);
  void convert_alpha(int y);

  [[nodiscard]] bool is_gray() const { return src_.format.chroma == Chroma::gray; }
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
  LevelRow samples_;               ///< one row of a plane
  LevelRow alpha_;                 ///< opaque where the picture has no alpha
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
      samples_(static_cast<std::size_t>(width_)) {
  for (int c = 0; c < color_channels_; ++c) {
    color_[static_cast<std::size_t>(c)].resize(static_cast<std::size_t>(width_));
  }
  if (dst.channels == 4) {
    alpha_.assign(static_cast<std::size_t>(width_), static_cast<std::uint16_t>(level_max_));
  }
  if (!is_gray()) {
    chroma1_.emplace(src.format, src.planes[1]);
    chroma2_.emplace(src.format, src.planes[2]);
  }
}

void Exporter::run() {
  const bool gray = color_channels_ == 1;
  const LevelRows rows{color(0), color(gray ? 0 : 1), color(gray ? 0 : 2), alpha_.data()};
  for (int y = 0; y < height_; ++y) {
    convert_color(y);
    if (src_.format.alpha == Alpha::w_plane) {
      apply_w(y);
    } else if (src_.format.alpha != Alpha::none && dst_.channels == 4) {
      convert_alpha(y);
    }
    writer_.write(y, rows);
  }
}

void Exporter::convert_color(int y) {
  const Scale unchanged{k_.one, k_.offset, k_.shift, k_.max};
  load_plane_row(src_.planes[0], src_.format.bit_depth, y, width_, samples_.data());
  if (is_gray()) {
    scale_row(samples_.data(), width_, unchanged, color(0));
    return;
  }
  const std::int16_t* chroma1 = chroma1_->row(y);
  const std::int16_t* chroma2 = chroma2_->row(y);
  if (src_.format.color_space == ColorSpace::rgb) {
    scale_row(samples_.data(), width_, unchanged, color(1));
    uncenter_row(chroma1, width_, k_.mid, samples_.data());
    scale_row(samples_.data(), width_, unchanged, color(2));
    uncenter_row(chroma2, width_, k_.mid, samples_.data());
    scale_row(samples_.data(), width_, unchanged, color(0));
  } else {
    rgb_rows({samples_.data(), chroma1, chroma2}, width_, k_, {color(0), color(1), color(2)});
  }
}

void Exporter::apply_w(int y) {
  load_plane_row(src_.planes[kAlphaPlane], src_.format.bit_depth, y, width_, samples_.data());
  for (int c = 0; c < color_channels_; ++c) {
    apply_w_row(color(c), samples_.data(), width_, src_.format.bit_depth);
  }
}

void Exporter::convert_alpha(int y) {
  load_plane_row(src_.planes[kAlphaPlane], src_.format.bit_depth, y, width_, samples_.data());
  scale_row(samples_.data(), width_, {k_.alpha_one, k_.alpha_offset, k_.shift, k_.max},
            alpha_.data());
  if (src_.format.alpha == Alpha::premultiplied) {
    for (int c = 0; c < color_channels_; ++c) {
      divide_row(color(c), alpha_.data(), width_, level_max_);
    }
  }
}

}  // namespace

void export_image(const PictureView& src, const ImageView& dst) {
  check(src.format, dst);
  Exporter(src, dst).run();
}

}  // namespace bpg
