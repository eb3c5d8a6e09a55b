#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "intra/cabac.hpp"
#include "intra/coded_picture.hpp"
#include "intra/contexts.hpp"
#include "intra/prediction.hpp"
#include "intra/residual.hpp"
#include "intra/transform.hpp"

namespace bpg::intra {

/// Decodes slice data, ITU-T H.265 7.3.8, into a picture before its in-loop filters.
class CodingTree {
 public:
  explicit CodingTree(CodedPicture& picture);

  /// Decodes the next slice segment in coding order. Throws DecodeError.
  void decode_segment(const Slice& slice, ByteSpan data);
  [[nodiscard]] bool complete() const { return next_ == picture_.sequence.ctbs(); }

 private:
  struct CodingUnit {
    int x;
    int y;
    int log2;
    bool lossless = false;
    bool split = false;  // four prediction blocks
    // By prediction block; without a split all four are the same.
    std::array<int, 4> chroma_mode{};
    std::array<bool, 4> chroma_follows_luma{};
  };
  // A transform block and the chroma blocks that go with it.
  struct TransformNode {
    int x;
    int y;
    int log2;
    int depth;
    int part;  // which quarter of its parent it is
    int parent_x;
    int parent_y;
    // By plane: bit 0 the block has coefficients, bit 1 the lower one of two 4:2:2 blocks has.
    std::array<unsigned, 3> coded;
  };
  // What the next row's wavefront or a dependent segment goes on from.
  using SavedContexts = std::optional<ContextSet>;

  void begin_block(std::size_t address, bool first_in_segment);
  void begin_contexts(std::size_t address, bool first_in_segment);
  [[nodiscard]] bool starts_tile(std::size_t address) const;
  void end_block(std::size_t address);
  [[nodiscard]] bool ends_substream() const;

  void read_sao(std::size_t address);
  [[nodiscard]] bool can_merge(std::size_t address, std::size_t other) const;
  SaoPlane read_sao_plane(int plane, const SaoPlane& cb);

  void read_quadtree(int x, int y, int log2, int depth);
  bool read_split(int x, int y, int log2, int depth);
  void read_coding_unit(int x, int y, int log2, int depth);
  void read_pcm_samples(const CodingUnit& cu);
  void read_modes(CodingUnit& cu);
  int read_candidate_index();
  [[nodiscard]] int derive_luma_mode(const CodingUnit& cu, int x, int y, int code,
                                     bool is_candidate) const;
  [[nodiscard]] int candidate_mode(const CodingUnit& cu, int x, int y) const;
  void read_chroma_mode(CodingUnit& cu, std::size_t part);

  void read_transform_tree(const CodingUnit& cu, TransformNode node);
  void read_chroma_coded(TransformNode& node, bool split);
  void read_transform_unit(const CodingUnit& cu, const TransformNode& node);
  void read_chroma_blocks(const CodingUnit& cu, const TransformNode& node);
  void decode_chroma_plane(const CodingUnit& cu, const TransformNode& node, int plane, int x, int y,
                           int log2);
  void read_qp_delta();
  void read_chroma_qp_adjustment();
  int read_res_scale(int plane);
  [[nodiscard]] int plane_qp(int plane) const;
  void decode_block(const CodingUnit& cu, const Block& block, int mode, bool coded, int res_scale);
  void add_residual(const Block& block, const Residual& residual);

  void begin_quantisation_group(int x, int y);
  void update_qp();

  CodedPicture& picture_;
  const Sequence& s_;
  const PictureParameters& pps_;
  Frame& frame_;
  CabacReader cabac_;
  ContextSet contexts_;
  SavedContexts wavefront_;
  SavedContexts segment_end_;
  Slice slice_;
  int next_ = 0;  // coding order of the next coding tree block
  std::uint32_t region_ = 0;

  bool qp_delta_read_ = false;
  int qp_delta_ = 0;
  int predicted_qp_ = 0;
  int qp_ = 0;       // QpY of the coding unit being decoded
  int last_qp_ = 0;  // QpY of the coding unit before
  bool chroma_adjustment_read_ = false;
  std::array<int, 3> chroma_adjustment_{};

  Coefficients coefficients_{};
  Residual residual_{};
  Residual luma_residual_{};
};

}  // namespace bpg::intra
