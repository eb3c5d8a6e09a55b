#include "intra/intra_decoder.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "hevc_syntax.hpp"
#include "intra/coded_picture.hpp"
#include "intra/coding_tree.hpp"
#include "intra/deblocking.hpp"
#include "intra/parameters.hpp"
#include "intra/sample_offset.hpp"
#include "intra/slice.hpp"

namespace bpg {
namespace {

using namespace intra;

// Parameter sets and slices of one picture, in the order in which they come.
class PictureDecoder {
 public:
  PictureDecoder(const StreamFormat& format, const std::vector<Nal>& nals) : sequence_(format) {
    for (const Nal& nal : nals) {
      add(nal);
    }
  }

  // The whole picture as it is before the in-loop filters.
  CodedPicture& unfiltered() {
    if (!tree_ || !tree_->complete()) {
      damaged("its HEVC data lacks some blocks of the picture");
    }
    return *picture_;
  }

 private:
  void add(const Nal& nal) {
    if (nal.type == kNalPps) {
      PictureParameters pps = parse_picture_parameters(nal.bytes);
      const std::uint32_t id = pps.id;
      parameters_.insert_or_assign(id, std::move(pps));
    } else if (is_slice(nal.type)) {
      add_slice(nal);
    }
  }

  void add_slice(const Nal& nal) {
    if (!picture_) {
      begin_picture(parse_slice_pps_id(nal));
    }
    const Slice* previous = picture_->slices.empty() ? nullptr : &picture_->slices.back();
    const SliceUnit unit = parse_slice(nal, sequence_, picture_->pps, previous);
    if (unit.slice.pps_id != picture_->pps.id ||
        unit.slice.first_in_picture != picture_->slices.empty()) {
      damaged("its slices belong to different pictures");
    }
    tree_->decode_segment(
        unit.slice, {unit.payload.data() + unit.data_begin, unit.payload.size() - unit.data_begin});
  }

  void begin_picture(std::uint32_t pps_id) {
    const auto found = parameters_.find(pps_id);
    if (found == parameters_.end()) {
      damaged("a slice refers to a PPS that is not there");
    }
    check_parameters(found->second, sequence_);
    picture_.emplace(sequence_, found->second);
    tree_.emplace(*picture_);
  }

  Sequence sequence_;
  std::map<std::uint32_t, PictureParameters> parameters_;
  std::optional<CodedPicture> picture_;
  std::optional<CodingTree> tree_;
};

Format picture_format(const StreamFormat& format) {
  constexpr Chroma kChroma[] = {Chroma::gray, Chroma::c420, Chroma::c422, Chroma::c444};
  Format out;
  out.width = format.width;
  out.height = format.height;
  out.chroma = kChroma[format.chroma_format_idc];
  out.bit_depth = format.bit_depth;
  return out;
}

void copy_row(const std::uint16_t* from, int count, int bit_depth, std::byte* to) {
  if (bit_depth == 8) {
    std::transform(from, from + count, to,
                   [](std::uint16_t v) { return static_cast<std::byte>(v); });
  } else {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
  }
}

Picture cropped(const CodedPicture& coded, const StreamFormat& format) {
  Picture picture(picture_format(format), 1);
  const MutablePictureView view = picture.mutable_view();
  for (int i = 0; i < coded.sequence.planes(); ++i) {
    const Plane& plane = view.planes[static_cast<std::size_t>(i)];
    const int width = subsampled(format.width, coded.sequence.shift_x(i));
    const int height = subsampled(format.height, coded.sequence.shift_y(i));
    for (int y = 0; y < height; ++y) {
      copy_row(coded.frame.plane(i).row(y), width, format.bit_depth, plane.data + y * plane.stride);
    }
  }
  return picture;
}

}  // namespace

bool needs_intra_decoder(const StreamFormat& format) {
  constexpr int kLog2SmallestCtb = 4;
  constexpr int kDeepest = 10;  // above it deblocking overflows in libavcodec's vector code
  const HevcHeader& header = format.header;
  const bool subsampled = format.chroma_format_idc == 1 || format.chroma_format_idc == 2;
  const bool small_blocks = header.log2_min_cb + header.log2_diff_max_min_cb == kLog2SmallestCtb;
  const bool range_tools =
      header.sps_extension && header.range_extension && header.range_flags != 0;
  return range_tools || header.pcm || (small_blocks && header.sao && subsampled) ||
         format.bit_depth > kDeepest || !libavcodec_takes(format.width, format.height);
}

Picture decode_intra_picture(const StreamFormat& format, const std::vector<Nal>& nals) {
  PictureDecoder decoder(format, nals);
  CodedPicture& coded = decoder.unfiltered();
  deblock(coded);
  apply_sample_offsets(coded);
  return cropped(coded, format);
}

QpMap decode_intra_qps(const StreamFormat& format, const std::vector<Nal>& nals, int block) {
  PictureDecoder decoder(format, nals);
  const Frame& frame = decoder.unfiltered().frame;
  QpMap map;
  map.width = qp_map_size(format.width, block);
  map.height = qp_map_size(format.height, block);
  map.qps.reserve(static_cast<std::size_t>(map.width) * static_cast<std::size_t>(map.height));
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      // Coding order runs through a square block to the lower right.
      const int last_x = x * block + std::min(block, format.width - x * block) - 1;
      const int last_y = y * block + std::min(block, format.height - y * block) - 1;
      map.qps.push_back(frame.unit(last_x, last_y).qp);
    }
  }
  return map;
}

}  // namespace bpg
