#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/container.hpp"
#include "bpg/options.hpp"
#include "bpg/picture.hpp"
#include "bpg/qp_map.hpp"

namespace bpg {

/// One encoded picture.
struct Encoded {
  std::vector<std::uint8_t> file;
  /// What every decoder will get: the encoder's own reconstruction, cropped to the picture. Points
  /// into the encoder and lives until its next call.
  PictureView reconstruction;
  RangeReport range;
  double hevc_seconds = 0;  ///< wall time spent inside x265
};

/// QP of a picture's colour planes and of its alpha plane, both bpgenc's `-q` scale.
struct PictureQp {
  int color = 29;
  int alpha = 29;
};

/// Encodes pictures of one size and one set of options, one after another. Not thread-safe; several
/// encoders may work at once. Bytes do not depend on what was encoded before.
class Encoder {
 public:
  /// Throws EncodeError for options or sizes out of range and for maps with lossless coding,
  /// UnsupportedError for a bit depth that x265 was built without.
  Encoder(int width, int height, bool has_alpha, const EncodeOptions& options);
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  [[nodiscard]] const Format& format() const;

  /// Encodes one still picture. With EncodeOptions::qp_maps it may bring a map; without one its
  /// offsets are 0. Throws EncodeError when x265 fails, a QP is outside 0..51, or a map does not
  /// fit the picture, is not finite or is not expected.
  Encoded encode(const ConstImageView& image, PictureQp qp,
                 const std::vector<Extension>& extensions,
                 const std::optional<QpMapView>& qp_map = std::nullopt);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Encodes an animation: an IDR picture, then P pictures that refer to the one before only.
class AnimationEncoder {
 public:
  AnimationEncoder(int width, int height, bool has_alpha, const EncodeOptions& options);
  ~AnimationEncoder();
  AnimationEncoder(AnimationEncoder&&) noexcept;
  AnimationEncoder& operator=(AnimationEncoder&&) noexcept;

  /// Appends a frame that is shown for `ticks` frame periods, `qp_map` as for a still. The
  /// reconstruction lives until the next call; `file` stays empty.
  Encoded add(const ConstImageView& image, PictureQp qp, std::uint16_t ticks,
              const std::optional<QpMapView>& qp_map = std::nullopt);

  /// The whole file. Throws EncodeError when no frame was added or the control is illegal.
  [[nodiscard]] std::vector<std::uint8_t> finish(const AnimationControl& control,
                                                 const std::vector<Extension>& extensions);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How much coarser than luma the colour planes are quantised with these options, before HEVC's own
/// table: what x265 is told, whether it comes from an option, the tune or the effort. Of the first
/// colour plane where both differ. Throws as Encoder does.
[[nodiscard]] int chroma_qp_offset(const EncodeOptions& options);

/// Version of the x265 library and the bit depths that it was built for.
struct X265Info {
  std::string version;
  std::string build;
  std::vector<int> bit_depths;
};
[[nodiscard]] X265Info x265_info();

}  // namespace bpg
