#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/options.hpp"
#include "bpg/picture.hpp"
#include "bpg/qp_map.hpp"
#include "x265_api.hpp"

namespace bpg {

struct ParamDeleter {
  const x265_api* api;
  void operator()(x265_param* p) const { api->param_free(p); }
};
using ParamPtr = std::unique_ptr<x265_param, ParamDeleter>;

/// What one x265 encoder is opened for.
struct HevcConfig {
  int width = 0;
  int height = 0;
  int chroma_format_idc = 1;
  int bit_depth = 8;
  bool lossless = false;
  bool inter = false;    ///< P pictures after the first (animations)
  bool qp_maps = false;  ///< blocks have QPs of their own
  int effort = 8;
  Tune tune = Tune::ssim;
  double psy_rd = 0;
  std::optional<int> deblock;
  std::optional<int> chroma_qp_offset;
  std::string x265;
};

/// One coded picture: parameter sets that BPG keeps (only before intra pictures) and slices. The
/// spans live until the next call.
struct HevcPicture {
  std::vector<ByteSpan> pps;     ///< with start codes
  std::vector<ByteSpan> slices;  ///< with start codes
  std::array<ConstPlane, 3> reconstruction{};
};

/// RAII around one x265 encoder, which codes one picture a call on one thread.
class HevcEncoder {
 public:
  explicit HevcEncoder(const HevcConfig& config);

  [[nodiscard]] const HevcHeader& header() const { return header_; }
  /// Whether every picture is coded by itself: stills, and frames that are too narrow for x265 to
  /// predict from each other.
  [[nodiscard]] bool codes_intra_only() const;
  /// Planes must be readable up to the picture's size rounded up to this.
  [[nodiscard]] int alignment() const { return header_.min_cb_size(); }

  /// `planes` hold the colour planes that the chroma format has. `slice_qp` is HEVC's; frames of
  /// 12 bits are coded at most at the one that libavcodec decodes rightly. `qp_map`
  /// was checked and counts only with HevcConfig::qp_maps; without offsets it is all zeros.
  HevcPicture encode(const std::array<ConstPlane, 3>& planes, int slice_qp,
                     const QpMapView& qp_map = {});

 private:
  struct EncoderDeleter {
    const x265_api* api;
    void operator()(x265_encoder* e) const;
  };
  struct PictureDeleter {
    const x265_api* api;
    void operator()(x265_picture* p) const { api->picture_free(p); }
  };

  void read_header();
  [[nodiscard]] int find_highest_qp() const;
  void set_loop_filter_flag(x265_nal* nals, std::uint32_t count);

  HevcConfig config_;
  const x265_api* api_;
  ParamPtr param_;
  std::unique_ptr<x265_encoder, EncoderDeleter> encoder_;
  std::unique_ptr<x265_picture, PictureDeleter> input_;
  std::unique_ptr<x265_picture, PictureDeleter> output_;
  HevcHeader header_;
  int highest_qp_ = kMaxQp;
  std::vector<float> block_offsets_;  // x265 reads them during encode()
};

/// The x265 library for a bit depth. Throws UnsupportedError when it was built without.
const x265_api& x265_for(int bit_depth);

}  // namespace bpg
