#include "intra/sample_offset.hpp"

#include <algorithm>
#include <array>

namespace bpg::intra {
namespace {

constexpr int kBands = 32;
// Steps to the first of the two neighbours of edge classes 0 to 3; the second is opposite.
constexpr int kStepX[4] = {-1, 0, -1, 1};
constexpr int kStepY[4] = {0, -1, -1, -1};

int sign(int value) { return (value > 0) - (value < 0); }

// A rectangle of samples of one plane.
struct Area {
  int left;
  int top;
  int right;
  int bottom;
};

class PlaneOffsets {
 public:
  PlaneOffsets(CodedPicture& picture, int plane)
      : picture_(picture),
        s_(picture.sequence),
        plane_(plane),
        shift_x_(s_.shift_x(plane)),
        shift_y_(s_.shift_y(plane)),
        source_(picture.frame.plane(plane)),
        target_(picture.frame.plane(plane)) {}

  void run() {
    for (int ctb_y = 0; ctb_y < s_.ctbs_down(); ++ctb_y) {
      for (int ctb_x = 0; ctb_x < s_.ctbs_across(); ++ctb_x) {
        const auto address = static_cast<std::size_t>(ctb_y * s_.ctbs_across() + ctb_x);
        const SaoPlane& sao = picture_.sao[address][static_cast<std::size_t>(plane_)];
        const int left = ctb_x << (s_.ctb - shift_x_);
        const int top = ctb_y << (s_.ctb - shift_y_);
        const Area area{left, top, std::min(left + (1 << (s_.ctb - shift_x_)), source_.width()),
                        std::min(top + (1 << (s_.ctb - shift_y_)), source_.height())};
        if (sao.type == SaoPlane::kBand) {
          offset_bands(sao, area);
        } else if (sao.type == SaoPlane::kEdge) {
          offset_edges(sao, area, address);
        }
      }
    }
  }

 private:
  void offset_bands(const SaoPlane& sao, const Area& area) {
    std::array<int, kBands> offset{};
    for (std::size_t i = 0; i < sao.offset.size(); ++i) {
      offset[(sao.band + i) % kBands] = sao.offset[i];
    }
    for (int y = area.top; y < area.bottom; ++y) {
      for (int x = area.left; x < area.right; ++x) {
        add(x, y, offset[static_cast<std::size_t>(source_.row(y)[x] >> (s_.bit_depth - 5))]);
      }
    }
  }

  void offset_edges(const SaoPlane& sao, const Area& area, std::size_t address) {
    // From the number of neighbours below less those above: valley, concave, flat, convex, peak.
    const std::array<int, 5> offset{sao.offset[0], sao.offset[1], 0, sao.offset[2], sao.offset[3]};
    const int dx = kStepX[sao.edge_class];
    const int dy = kStepY[sao.edge_class];
    for (int y = area.top; y < area.bottom; ++y) {
      for (int x = area.left; x < area.right; ++x) {
        if (!usable(x + dx, y + dy, area, address) || !usable(x - dx, y - dy, area, address)) {
          continue;
        }
        const int own = source_.row(y)[x];
        const int shape =
            sign(own - source_.row(y + dy)[x + dx]) + sign(own - source_.row(y - dy)[x - dx]);
        add(x, y, offset[static_cast<std::size_t>(2 + shape)]);
      }
    }
  }

  // Whether a neighbour may be looked at from a block: it exists, and no slice or tile boundary
  // that filters must not cross lies between.
  [[nodiscard]] bool usable(int x, int y, const Area& area, std::size_t address) const {
    if (x >= area.left && x < area.right && y >= area.top && y < area.bottom) {
      return true;
    }
    if (x < 0 || y < 0 || x >= source_.width() || y >= source_.height()) {
      return false;
    }
    const std::size_t other = picture_.ctb_at(x << shift_x_, y << shift_y_);
    if (!picture_.pps.filter_across_tiles &&
        picture_.tiling.tile[other] != picture_.tiling.tile[address]) {
      return false;
    }
    const Slice& own_slice = picture_.slice_at(address);
    const Slice& other_slice = picture_.slice_at(other);
    if (own_slice.address == other_slice.address) {
      return true;
    }
    // The slice that comes later in coding order decides.
    const bool own_is_later = picture_.tiling.order[address] > picture_.tiling.order[other];
    return (own_is_later ? own_slice : other_slice).filter_across;
  }

  void add(int x, int y, int offset) {
    if (offset != 0 && !picture_.frame.unit(x << shift_x_, y << shift_y_).unfiltered) {
      target_.row(y)[x] = static_cast<std::uint16_t>(
          std::clamp(source_.row(y)[x] + offset, 0, (1 << s_.bit_depth) - 1));
    }
  }

  CodedPicture& picture_;
  const Sequence& s_;
  int plane_;
  int shift_x_;
  int shift_y_;
  const SamplePlane source_;  // a copy: neighbours are looked at before they change
  SamplePlane& target_;
};

}  // namespace

void apply_sample_offsets(CodedPicture& picture) {
  for (int plane = 0; plane < picture.sequence.planes(); ++plane) {
    const auto is_used = [plane](const Slice& slice) {
      return slice.sao[static_cast<std::size_t>(plane)];
    };
    if (std::any_of(picture.slices.begin(), picture.slices.end(), is_used)) {
      PlaneOffsets(picture, plane).run();
    }
  }
}

}  // namespace bpg::intra
