#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

namespace bpg {

/// Chroma sampling; the values are BPG's pixel_format field.
enum class Chroma : std::uint8_t {
  gray = 0,
  c420 = 1,
  c422 = 2,
  c444 = 3,
  c420_mpeg2 = 4,
  c422_mpeg2 = 5,
};

/// Colour space; the values are BPG's color_space field.
enum class ColorSpace : std::uint8_t {
  ycbcr_bt601 = 0,
  rgb = 1,  ///< planes in the order G, B, R
  ycgco = 2,
  ycbcr_bt709 = 3,
  ycbcr_bt2020 = 4,
};

/// What the fourth plane holds.
enum class Alpha : std::uint8_t {
  none,
  straight,
  premultiplied,
  w_plane,  ///< CMYK: the planes hold R, G, B, and W = 1 - K
};

/// The longest side of a picture. HEVC rounds sides up to a coding block of at most 64, and int
/// must hold that.
inline constexpr int kMostSide = std::numeric_limits<int>::max() - 64;

/// What the planes of a picture mean.
struct Format {
  int width = 0;
  int height = 0;
  Chroma chroma = Chroma::c420;
  ColorSpace color_space = ColorSpace::ycbcr_bt601;
  int bit_depth = 8;
  bool limited_range = false;
  Alpha alpha = Alpha::none;

  bool operator==(const Format& other) const {
    return width == other.width && height == other.height && chroma == other.chroma &&
           color_space == other.color_space && bit_depth == other.bit_depth &&
           limited_range == other.limited_range && alpha == other.alpha;
  }
};

[[nodiscard]] constexpr bool is_420(Chroma c) {
  return c == Chroma::c420 || c == Chroma::c420_mpeg2;
}
[[nodiscard]] constexpr bool is_422(Chroma c) {
  return c == Chroma::c422 || c == Chroma::c422_mpeg2;
}
[[nodiscard]] constexpr bool is_mpeg2_sited(Chroma c) {
  return c == Chroma::c420_mpeg2 || c == Chroma::c422_mpeg2;
}
[[nodiscard]] constexpr int chroma_shift_x(Chroma c) { return is_420(c) || is_422(c) ? 1 : 0; }
[[nodiscard]] constexpr int chroma_shift_y(Chroma c) { return is_420(c) ? 1 : 0; }
/// HEVC's chroma_format_idc: 0 gray, 1 4:2:0, 2 4:2:2, 3 4:4:4.
[[nodiscard]] constexpr int hevc_chroma_idc(Chroma c) {
  return c == Chroma::gray ? 0 : is_420(c) ? 1 : is_422(c) ? 2 : 3;
}
/// Samples across a plane of a picture `luma` samples across, subsampled by 2^shift.
[[nodiscard]] constexpr int subsampled(int luma, int shift) {
  return (luma + (1 << shift) - 1) >> shift;
}

/// One plane of samples: uint8_t when the bit depth is 8, uint16_t (native endian) above.
/// The stride counts bytes. Memory belongs to somebody else.
struct Plane {
  std::byte* data = nullptr;
  std::ptrdiff_t stride = 0;
};
struct ConstPlane {
  const std::byte* data = nullptr;
  std::ptrdiff_t stride = 0;
};

/// Index of the alpha (or W) plane. Colour planes are 0..2: Y Cb Cr, or G B R, or Y Cg Co.
inline constexpr std::size_t kAlphaPlane = 3;

/// A picture in somebody else's memory. Planes that the format lacks have data == nullptr.
struct PictureView {
  Format format;
  std::array<ConstPlane, 4> planes;
};
struct MutablePictureView {
  Format format;
  std::array<Plane, 4> planes;
};

/// A picture that owns its planes. Each plane is allocated with width and height (in luma
/// samples) rounded up to `alignment`, so that an encoder can read whole coding blocks.
class Picture {
 public:
  Picture() = default;
  Picture(const Format& format, int alignment);

  [[nodiscard]] const Format& format() const { return format_; }
  [[nodiscard]] PictureView view() const;
  [[nodiscard]] MutablePictureView mutable_view();
  /// Width and height of the allocated luma plane.
  [[nodiscard]] int padded_width() const { return padded_width_; }
  [[nodiscard]] int padded_height() const { return padded_height_; }

  /// Repeats the last column and row into the padding of every plane.
  void extend_edges();

 private:
  struct FreeDeleter {
    std::size_t size;
    void operator()(std::byte* p) const;
  };

  Format format_;
  int padded_width_ = 0;
  int padded_height_ = 0;
  std::unique_ptr<std::byte, FreeDeleter> memory_{nullptr, FreeDeleter{0}};
  std::array<Plane, 4> planes_{};
};

/// Type of a caller's samples. Integers span their whole range, floats span [0, 1].
enum class SampleType : std::uint8_t { u8, u16, f16, f32, f64 };

/// Bytes of one sample.
[[nodiscard]] constexpr std::size_t sample_size(SampleType type) {
  switch (type) {
    case SampleType::u8:
      return 1;
    case SampleType::u16:
    case SampleType::f16:
      return 2;
    case SampleType::f32:
      return 4;
    case SampleType::f64:
      break;
  }
  return 8;
}

/// Interleaved, planar or otherwise strided image memory: sample (c, y, x) is at
/// data + c * stride_c + y * stride_y + x * stride_x (bytes, any sign, 0 allowed when reading).
/// channels: 1 gray, 3 RGB, 4 RGBA.
struct ConstImageView {
  const std::byte* data = nullptr;
  SampleType type = SampleType::u8;
  int width = 0;
  int height = 0;
  int channels = 0;
  std::ptrdiff_t stride_c = 0;
  std::ptrdiff_t stride_y = 0;
  std::ptrdiff_t stride_x = 0;
};
struct ImageView {
  std::byte* data = nullptr;
  SampleType type = SampleType::u8;
  int width = 0;
  int height = 0;
  int channels = 0;
  std::ptrdiff_t stride_c = 0;
  std::ptrdiff_t stride_y = 0;
  std::ptrdiff_t stride_x = 0;
};

}  // namespace bpg
