#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bpg/picture.hpp"

namespace bpg {

inline constexpr int kMinQp = 0;
inline constexpr int kMaxQp = 51;
inline constexpr int kMinEffort = 0;
inline constexpr int kMaxEffort = 9;
inline constexpr int kMostDeblock = 6;
inline constexpr int kMostChromaQpOffset = 12;

/// For whom the encoder chooses: `ssim` is what bpgenc does, `machine` keeps what networks see.
enum class Tune : std::uint8_t { ssim, machine };

/// Everything that stays the same over the pictures of one encoder.
struct EncodeOptions {
  Chroma chroma = Chroma::c420;
  ColorSpace color_space = ColorSpace::ycbcr_bt601;
  int bit_depth = 8;  ///< 8, 10 or 12
  bool limited_range = false;
  bool lossless = false;
  bool premultiplied = false;  ///< only matters with alpha
  int effort = 8;
  Tune tune = Tune::ssim;
  /// Pictures bring a map of QP offsets (qp_map.hpp). Without it the QP of a picture is constant,
  /// which is not the same bytes as a map of zeros.
  bool qp_maps = false;
  /// Psycho-visual rate-distortion, 0 (off) to 5: blocks that keep how much texture they have are
  /// preferred to those that are closer sample by sample. Searches from x265's rd level 3 on.
  double psy_rd = 0;
  /// Strength of the deblocking filter, -6 (next to none) to 6: both of its thresholds. Without one
  /// it is what effort and tune choose.
  std::optional<int> deblock;
  /// QP of both colour planes against that of luma, -12 (finer) to 12. Without one it is what the
  /// tune chooses.
  std::optional<int> chroma_qp_offset;
  /// Further x265 options as "name=value:name=value", applied last. For experiments: what cannot be
  /// expressed in BPG is refused when the encoder opens.
  std::string x265;

  bool operator==(const EncodeOptions& o) const {
    return chroma == o.chroma && color_space == o.color_space && bit_depth == o.bit_depth &&
           limited_range == o.limited_range && lossless == o.lossless &&
           premultiplied == o.premultiplied && effort == o.effort && tune == o.tune &&
           qp_maps == o.qp_maps && psy_rd == o.psy_rd && deblock == o.deblock &&
           chroma_qp_offset == o.chroma_qp_offset && x265 == o.x265;
  }
};

/// The slice QP at which bpgenc codes an intra picture for its `-q`: x265 lowers a constant QP by
/// 6 * log2(1.4) for I frames. qp 34 gives 31.
[[nodiscard]] int intra_slice_qp(int qp);

}  // namespace bpg
