#include "intra/deblocking.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace bpg::intra {
namespace {

constexpr int kEdgeGrid = 8;        // samples of a plane between edges that may be filtered
constexpr int kStrengthOffset = 2;  // 2 * (bS - 1); bS is 2 wherever one side is intra coded

// Table 8-12.
constexpr std::uint8_t kBeta[52] = {0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
                                    0,  0,  0,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                    16, 17, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38,
                                    40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62, 64};
constexpr std::uint8_t kTc[54] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0,  0,  0,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 2,  2,  2,  2,  3,  3,  3,  3,  4,
                                  4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22, 24};

// The samples on a line across an edge: q(0) is the first behind it, p(0) the last before it.
class Line {
 public:
  Line(std::uint16_t* q0, std::ptrdiff_t step) : q0_(q0), step_(step) {}
  [[nodiscard]] int p(int i) const { return q0_[-(i + 1) * step_]; }
  [[nodiscard]] int q(int i) const { return q0_[i * step_]; }
  void set_p(int i, int value) { q0_[-(i + 1) * step_] = static_cast<std::uint16_t>(value); }
  void set_q(int i, int value) { q0_[i * step_] = static_cast<std::uint16_t>(value); }

 private:
  std::uint16_t* q0_;
  std::ptrdiff_t step_;
};

// Where one edge segment of a unit lies, what is on both sides and how strong to filter.
struct Segment {
  const Unit& before;
  const Unit& behind;
  const Slice& slice;  // of the samples behind
  int qp;
};

int tc_of(const CodedPicture& picture, const Segment& segment, int qp) {
  const int index =
      std::clamp(qp + kStrengthOffset + 2 * segment.slice.deblocking.tc_offset, 0, 53);
  return kTc[index] << (picture.sequence.bit_depth - 8);
}

int beta_of(const CodedPicture& picture, const Segment& segment) {
  const int index = std::clamp(segment.qp + 2 * segment.slice.deblocking.beta_offset, 0, 51);
  return kBeta[index] << (picture.sequence.bit_depth - 8);
}

bool is_smooth(const Line& line, int curvature, int beta, int tc) {
  return 2 * curvature < beta >> 2 &&
         std::abs(line.p(3) - line.p(0)) + std::abs(line.q(0) - line.q(3)) < beta >> 3 &&
         std::abs(line.p(0) - line.q(0)) < (5 * tc + 1) >> 1;
}

void filter_strong(Line line, int tc, bool change_p, bool change_q) {
  const int p0 = line.p(0), p1 = line.p(1), p2 = line.p(2), p3 = line.p(3);
  const int q0 = line.q(0), q1 = line.q(1), q2 = line.q(2), q3 = line.q(3);
  const auto near = [tc](int value, int old) {
    return std::clamp(value, old - 2 * tc, old + 2 * tc);
  };
  if (change_p) {
    line.set_p(0, near((p2 + 2 * p1 + 2 * p0 + 2 * q0 + q1 + 4) >> 3, p0));
    line.set_p(1, near((p2 + p1 + p0 + q0 + 2) >> 2, p1));
    line.set_p(2, near((2 * p3 + 3 * p2 + p1 + p0 + q0 + 4) >> 3, p2));
  }
  if (change_q) {
    line.set_q(0, near((p1 + 2 * p0 + 2 * q0 + 2 * q1 + q2 + 4) >> 3, q0));
    line.set_q(1, near((p0 + q0 + q1 + q2 + 2) >> 2, q1));
    line.set_q(2, near((p0 + q0 + q1 + 3 * q2 + 2 * q3 + 4) >> 3, q2));
  }
}

struct WeakFilter {
  int tc;
  int peak;
  bool second_p;  // whether the second sample on a side changes, too
  bool second_q;
};

void filter_weak(Line line, const WeakFilter& f, bool change_p, bool change_q) {
  const int p0 = line.p(0), p1 = line.p(1), p2 = line.p(2);
  const int q0 = line.q(0), q1 = line.q(1), q2 = line.q(2);
  int delta = (9 * (q0 - p0) - 3 * (q1 - p1) + 8) >> 4;
  if (std::abs(delta) >= 10 * f.tc) {
    return;
  }
  delta = std::clamp(delta, -f.tc, f.tc);
  const int half = f.tc >> 1;
  if (change_p) {
    line.set_p(0, std::clamp(p0 + delta, 0, f.peak));
    if (f.second_p) {
      const int second = std::clamp((((p2 + p0 + 1) >> 1) - p1 + delta) >> 1, -half, half);
      line.set_p(1, std::clamp(p1 + second, 0, f.peak));
    }
  }
  if (change_q) {
    line.set_q(0, std::clamp(q0 - delta, 0, f.peak));
    if (f.second_q) {
      const int second = std::clamp((((q2 + q0 + 1) >> 1) - q1 - delta) >> 1, -half, half);
      line.set_q(1, std::clamp(q1 + second, 0, f.peak));
    }
  }
}

// 8.7.2.5.3 and 8.7.2.5.6: four lines.
void filter_luma(const CodedPicture& picture, const Segment& segment, std::uint16_t* q0,
                 std::ptrdiff_t across, std::ptrdiff_t along) {
  const int beta = beta_of(picture, segment);
  const int tc = tc_of(picture, segment, segment.qp);
  const Line first(q0, across);
  const Line last(q0 + 3 * along, across);
  const auto bend_p = [](const Line& l) { return std::abs(l.p(2) - 2 * l.p(1) + l.p(0)); };
  const auto bend_q = [](const Line& l) { return std::abs(l.q(2) - 2 * l.q(1) + l.q(0)); };
  const int first_bend = bend_p(first) + bend_q(first);
  const int last_bend = bend_p(last) + bend_q(last);
  if (first_bend + last_bend >= beta) {
    return;
  }
  const bool change_p = !segment.before.unfiltered;
  const bool change_q = !segment.behind.unfiltered;
  const bool strong =
      is_smooth(first, first_bend, beta, tc) && is_smooth(last, last_bend, beta, tc);
  const int side = (beta + (beta >> 1)) >> 3;
  const WeakFilter weak{tc, (1 << picture.sequence.bit_depth) - 1,
                        bend_p(first) + bend_p(last) < side, bend_q(first) + bend_q(last) < side};
  for (int i = 0; i < 4; ++i) {
    const Line line(q0 + i * along, across);
    if (strong) {
      filter_strong(line, tc, change_p, change_q);
    } else {
      filter_weak(line, weak, change_p, change_q);
    }
  }
}

// 8.7.2.5.8. The standard has no end of the index into its table of chroma QPs here; x265, which
// made the files, and libavcodec end it at 57 as where coefficients are scaled.
void filter_chroma(const CodedPicture& picture, const Segment& segment, int plane, int lines,
                   std::uint16_t* q0, std::ptrdiff_t across, std::ptrdiff_t along) {
  const int offset = picture.pps.qp_offset[static_cast<std::size_t>(plane)];
  const int index = std::min(segment.qp + offset, 57);
  const int tc = tc_of(picture, segment, chroma_qp(picture.sequence.chroma_idc, index));
  const int peak = (1 << picture.sequence.bit_depth) - 1;
  for (int i = 0; i < lines; ++i) {
    Line line(q0 + i * along, across);
    const int p0 = line.p(0);
    const int step = (((line.q(0) - p0) * 4) + line.p(1) - line.q(1) + 4) >> 3;
    const int delta = std::clamp(step, -tc, tc);
    if (!segment.before.unfiltered) {
      line.set_p(0, std::clamp(p0 + delta, 0, peak));
    }
    if (!segment.behind.unfiltered) {
      line.set_q(0, std::clamp(line.q(0) - delta, 0, peak));
    }
  }
}

// Edges of one direction: vertical ones lie to the left of a unit, horizontal ones above it.
class EdgeFilter {
 public:
  EdgeFilter(CodedPicture& picture, bool vertical) : picture_(picture), vertical_(vertical) {}

  void run() {
    for (int y = 0; y < picture_.sequence.height; y += 1 << kUnitShift) {
      for (int x = 0; x < picture_.sequence.width; x += 1 << kUnitShift) {
        const Unit& unit = picture_.frame.unit(x, y);
        if ((vertical_ ? unit.left_edge : unit.top_edge) && (vertical_ ? x : y) > 0) {
          filter_unit(unit, x, y);
        }
      }
    }
  }

 private:
  void filter_unit(const Unit& unit, int x, int y) {
    const int before_x = vertical_ ? x - 1 : x;
    const int before_y = vertical_ ? y : y - 1;
    const std::size_t ctb = picture_.ctb_at(x, y);
    const std::size_t before_ctb = picture_.ctb_at(before_x, before_y);
    const Slice& slice = picture_.slice_at(ctb);
    if (slice.deblocking.disabled || !may_cross(slice, ctb, before_ctb)) {
      return;
    }
    const Unit& before = picture_.frame.unit(before_x, before_y);
    const Segment segment{before, unit, slice, (unit.qp + before.qp + 1) >> 1};
    for (int plane = 0; plane < picture_.sequence.planes(); ++plane) {
      filter_plane(segment, plane, x, y);
    }
  }

  // The slice before the edge always precedes in coding order, so that its own flag has no say.
  [[nodiscard]] bool may_cross(const Slice& slice, std::size_t ctb, std::size_t before) const {
    if (ctb == before) {
      return true;
    }
    return (slice.filter_across || slice.address == picture_.slice_at(before).address) &&
           (picture_.pps.filter_across_tiles ||
            picture_.tiling.tile[ctb] == picture_.tiling.tile[before]);
  }

  void filter_plane(const Segment& segment, int plane, int luma_x, int luma_y) {
    const Sequence& s = picture_.sequence;
    const int x = luma_x >> s.shift_x(plane);
    const int y = luma_y >> s.shift_y(plane);
    if ((vertical_ ? x : y) % kEdgeGrid != 0) {
      return;
    }
    SamplePlane& samples = picture_.frame.plane(plane);
    std::uint16_t* q0 = samples.row(y) + x;
    const std::ptrdiff_t across = vertical_ ? 1 : samples.width();
    const std::ptrdiff_t along = vertical_ ? samples.width() : 1;
    if (plane == 0) {
      filter_luma(picture_, segment, q0, across, along);
    } else {
      const int lines = 4 >> (vertical_ ? s.shift_y(plane) : s.shift_x(plane));
      filter_chroma(picture_, segment, plane, lines, q0, across, along);
    }
  }

  CodedPicture& picture_;
  bool vertical_;
};

}  // namespace

void deblock(CodedPicture& picture) {
  EdgeFilter(picture, true).run();
  EdgeFilter(picture, false).run();
}

}  // namespace bpg::intra
