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

void check(const ConstImageView& src, const Format& format) {
  if (src.width != format.width || src.height != format.height || src.width < 1 || src.height < 1) {
    throw EncodeError("the image is " + std::to_string(src.width) + "x" +
                      std::to_string(src.height) + " but the picture " +
                      std::to_string(format.width) + "x" + std::to_string(format.height));
  }
  if (src.channels != 1 && src.channels != 3 && src.channels != 4) {
    throw EncodeError("channels must be 1, 3 or 4, not " + std::to_string(src.channels));
  }
  if (format.bit_depth < 8 || format.bit_depth > 14) {
    throw EncodeError("bit_depth must be 8..14, not " + std::to_string(format.bit_depth));
  }
  if (format.alpha == Alpha::w_plane) {
    throw EncodeError("alpha cannot be w_plane: CMYK pictures are only read");
  }
}

/// Takes an image row by row to the planes of a picture.
class Importer {
 public:
  Importer(const ConstImageView& src, const MutablePictureView& dst);

  RangeReport run();

 private:
  void read_row(int y);
  void import_alpha(int y);
  void convert_color(int y);

  [[nodiscard]] bool has_alpha() const { return dst_.format.alpha != Alpha::none; }
  [[nodiscard]] bool is_gray() const { return dst_.format.chroma == Chroma::gray; }
  [[nodiscard]] Scale unchanged() const { return {k_.one, k_.luma_offset, k_.shift, k_.max}; }

  MutablePictureView dst_;
  int width_;
  int height_;
  int color_channels_;  ///< 1 or 3
  bool reads_alpha_;
  int level_max_;
  ToPlanes k_;
  RowReader reader_;
  std::array<LevelRow, 3> color_;  ///< R, G, B, or gray alone
  LevelRow alpha_;
  LevelRow plane_row_;
  std::optional<ChromaWriter> chroma1_;
  std::optional<ChromaWriter> chroma2_;
  RgbRows rgb_{};
};

Importer::Importer(const ConstImageView& src, const MutablePictureView& dst)
    : dst_(dst),
      width_(src.width),
      height_(src.height),
      color_channels_(src.channels == 1 ? 1 : 3),
      reads_alpha_(has_alpha() && src.channels == 4),
      level_max_(level_max(src.type, dst.format.bit_depth)),
      k_(to_planes(dst.format, level_max_)),
      reader_(src, level_max_),
      plane_row_(static_cast<std::size_t>(width_)) {
  for (int c = 0; c < color_channels_; ++c) {
    color_[static_cast<std::size_t>(c)].resize(static_cast<std::size_t>(width_));
  }
  const std::size_t green = color_channels_ == 3 ? 1 : 0;
  const std::size_t blue = color_channels_ == 3 ? 2 : 0;
  rgb_ = {color_[0].data(), color_[green].data(), color_[blue].data()};
  if (has_alpha()) {
    alpha_.assign(static_cast<std::size_t>(width_), static_cast<std::uint16_t>(level_max_));
  }
  if (!is_gray()) {
    chroma1_.emplace(dst.format, dst.planes[1]);
    chroma2_.emplace(dst.format, dst.planes[2]);
  }
}

RangeReport Importer::run() {
  for (int y = 0; y < height_; ++y) {
    read_row(y);
    if (has_alpha()) {
      import_alpha(y);
    }
    convert_color(y);
    if (!is_gray()) {
      chroma1_->push();
      chroma2_->push();
    }
  }
  return reader_.range();
}

void Importer::read_row(int y) {
  for (int c = 0; c < color_channels_; ++c) {
    reader_.read(c, y, color_[static_cast<std::size_t>(c)].data());
  }
  if (reads_alpha_) {
    reader_.read(3, y, alpha_.data());
  }
}

void Importer::import_alpha(int y) {
  scale_row(alpha_.data(), width_, {k_.alpha_one, k_.alpha_offset, k_.shift, k_.max},
            plane_row_.data());
  store_plane_row(dst_.planes[kAlphaPlane], dst_.format.bit_depth, y, width_, plane_row_.data());
  if (reads_alpha_ && dst_.format.alpha == Alpha::premultiplied) {
    for (int c = 0; c < color_channels_; ++c) {
      premultiply_row(color_[static_cast<std::size_t>(c)].data(), alpha_.data(), width_,
                      level_max_);
    }
  }
}

void Importer::convert_color(int y) {
  if (is_gray()) {
    if (color_channels_ == 1) {
      scale_row(rgb_.red, width_, unchanged(), plane_row_.data());
    } else {
      luma_row(rgb_, width_, k_, plane_row_.data());
    }
  } else if (dst_.format.color_space == ColorSpace::rgb) {
    scale_row(rgb_.blue, width_, unchanged(), plane_row_.data());
    center_row(plane_row_.data(), width_, k_.mid, chroma1_->row());
    scale_row(rgb_.red, width_, unchanged(), plane_row_.data());
    center_row(plane_row_.data(), width_, k_.mid, chroma2_->row());
    scale_row(rgb_.green, width_, unchanged(), plane_row_.data());
  } else {
    ycc_rows(rgb_, width_, k_, {plane_row_.data(), chroma1_->row(), chroma2_->row()});
  }
  store_plane_row(dst_.planes[0], dst_.format.bit_depth, y, width_, plane_row_.data());
}

}  // namespace

RangeReport import_image(const ConstImageView& src, const MutablePictureView& dst) {
  check(src, dst.format);
  return Importer(src, dst).run();
}

}  // namespace bpg
