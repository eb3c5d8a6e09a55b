// The generator is the decoder's own syntax, built a second time in a namespace of its own (see
// CMakeLists.txt) with another CabacReader: where that one reads a bin, this one draws a random
// bin, encodes it and returns it. A mistake in the syntax is then made twice, but only here:
// libavcodec does not share it.
#include "intra_generator.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "bits.hpp"
#include "bpg/error.hpp"
#include "intra/cabac.hpp"
#include "intra/cabac_tables.hpp"
#include "intra/coding_tree.hpp"
#include "intra/parameters.hpp"
#include "intra/slice.hpp"

namespace bpg_test {
namespace {

constexpr int kNalIdr = 20;
constexpr int kNalPps = 34;

class Random {
 public:
  void seed(unsigned value) { engine_.seed(value); }
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool one_in(int n) { return below(n) == 0; }

 private:
  std::mt19937 engine_;
};

// The arithmetic encoder of ITU-T H.265 9.3.4, one bit at a time.
class CabacEncoder {
 public:
  void begin() {
    low_ = 0;
    range_ = 510;
    first_ = true;
    outstanding_ = 0;
  }
  void decision(bpg::intra::Context& context, bool bin) {
    const int lps_range = bpg::intra::kRangeLps[context.state][range_ >> 6 & 3];
    const bool is_mps = bin == (context.mps != 0);
    range_ -= lps_range;
    if (!is_mps) {
      low_ += range_;
      range_ = lps_range;
    }
    bpg::intra::adapt(context, is_mps);
    renormalise();
  }
  void bypass(bool bin) {
    low_ = 2 * low_ + (bin ? range_ : 0);
    settle_bit();
  }
  void terminate(bool bin) {
    range_ -= 2;
    if (!bin) {
      renormalise();
      return;
    }
    low_ += range_;
    range_ = 2;
    renormalise();
    put(low_ >> 9 & 1);
    bits.flag((low_ >> 8 & 1) != 0);
    bits.flag(true);
    bits.align();
  }

  bpg::BitWriter bits;

 private:
  void renormalise() {
    while (range_ < 256) {
      range_ *= 2;
      low_ *= 2;
      settle_bit();
    }
  }
  // `low_` has just been doubled: its two top bits say whether the next bit is settled.
  void settle_bit() {
    if (low_ < 512) {
      put(0);
    } else if (low_ >= 1024) {
      low_ -= 1024;
      put(1);
    } else {
      low_ -= 512;
      ++outstanding_;
    }
  }
  void put(int bit) {
    if (first_) {
      first_ = false;
    } else {
      bits.flag(bit != 0);
    }
    for (; outstanding_ > 0; --outstanding_) {
      bits.flag(bit == 0);
    }
  }

  int low_ = 0;
  int range_ = 0;
  bool first_ = true;
  int outstanding_ = 0;
};

// What the CabacReader below draws from and writes to.
struct Source {
  Random random;
  CabacEncoder encoder;
  int follow_mps = 50;  // percent of decisions that are the most probable symbol
  int ones = 50;        // percent of bypass bins that are 1
  int blocks_left = 0;  // coding tree blocks until the end of the slice segment
  int pcm_in = 4;       // one coding unit in so many

  bool percent(int chance) { return random.below(100) < chance; }
};

Source& source() {
  static Source instance;
  return instance;
}

std::uint32_t u(int value) { return static_cast<std::uint32_t>(value); }

void put_se(bpg::BitWriter& w, int value) { w.ue(u(value > 0 ? 2 * value - 1 : -2 * value)); }

bool coin(bpg::BitWriter& w) {
  const bool value = source().random.one_in(2);
  w.flag(value);
  return value;
}

// What libavcodec 59 decodes wrongly is left out here and below.
bpg::HevcHeader random_header(int bit_depth, int chroma_idc, bool with_bypass) {
  Random& r = source().random;
  bpg::HevcHeader h;
  const int log2_ctb = r.between(4, 6);
  h.log2_min_cb = r.between(3, std::min(log2_ctb, 4));
  h.log2_diff_max_min_cb = log2_ctb - h.log2_min_cb;
  h.log2_min_tb = r.between(2, h.log2_min_cb - 1);
  h.log2_diff_max_min_tb = r.between(0, std::min(log2_ctb, 5) - h.log2_min_tb);
  h.max_transform_hierarchy_depth_intra = r.between(0, log2_ctb - h.log2_min_tb);
  h.pcm = chroma_idc != 0 && r.one_in(2);  // without chroma it skips chroma samples all the same
  h.pcm_bit_depth_luma = r.between(1, bit_depth);
  h.pcm_bit_depth_chroma = r.between(1, bit_depth);
  h.log2_min_pcm_cb = r.between(h.log2_min_cb, std::min(log2_ctb, 5));
  h.log2_diff_max_min_pcm_cb = r.between(0, std::min(log2_ctb, 5) - h.log2_min_pcm_cb);
  h.pcm_loop_filter_disabled = r.one_in(2);
  // To chroma of half width it applies sample offsets before deblocking is done when blocks are
  // 16x16, and in lossless and PCM blocks when these should be left alone.
  const bool sao_is_right = chroma_idc % 3 == 0 || (log2_ctb > 4 && !with_bypass &&
                                                    !(h.pcm && h.pcm_loop_filter_disabled));
  h.sao = sao_is_right && r.one_in(2);
  h.strong_intra_smoothing = r.one_in(2);
  h.sps_extension = h.range_extension = r.one_in(2);
  constexpr int kHarmless = 1 << 7 | 1 << 3 | 1 << 1;
  constexpr int kRotationAndImplicitRdpcm = 1 << 8 | 1 << 6;
  // In lossless blocks it does not rotate residuals, and corrects edges that it should leave.
  const int allowed = kHarmless | (with_bypass ? 0 : kRotationAndImplicitRdpcm);
  h.range_flags = static_cast<std::uint16_t>(h.range_extension ? r.below(512) & allowed : 0);
  return h;
}

std::vector<std::uint8_t> nal(int type, const bpg::BitWriter& payload) {
  std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(type << 1), 1};
  bytes.insert(bytes.end(), payload.bytes().begin(), payload.bytes().end());
  return bpg::escape_nal({bytes.data(), bytes.size()});
}

void put_tiles(bpg::BitWriter& w, const bpg::intra::Sequence& s) {
  Random& r = source().random;
  const int columns = r.between(1, std::min(4, s.ctbs_across()));
  const int rows = r.between(1, std::min(4, s.ctbs_down()));
  w.ue(u(columns - 1));
  w.ue(u(rows - 1));
  const bool uniform = coin(w);
  for (int i = 0; !uniform && i < columns - 1 + rows - 1; ++i) {
    w.ue(0);  // one block; the last column and row get the rest
  }
  coin(w);  // filters across tiles
}

void put_range_extension(bpg::BitWriter& w, const bpg::intra::Sequence& s, bool transform_skip) {
  Random& r = source().random;
  w.flag(true);
  w.bits(0, 7);
  if (transform_skip) {
    w.ue(u(r.below(s.max_tb - 1)));
  }
  w.flag(s.chroma_idc == 3 && r.one_in(2));
  const bool lists = s.chroma_idc != 0 && r.one_in(2);
  w.flag(lists);
  if (lists) {
    w.ue(u(r.between(0, s.ctb - s.min_cb)));
    const int length = r.one_in(2) ? 1 : 6;  // it reads the index as if there were always six
    w.ue(u(length - 1));
    for (int i = 0; i < 2 * length; ++i) {
      put_se(w, r.between(-12, 12));
    }
  }
  w.ue(u(r.between(0, std::max(0, s.bit_depth - 10))));
  w.ue(u(r.between(0, std::max(0, s.bit_depth - 10))));
}

std::vector<std::uint8_t> random_pps(const bpg::intra::Sequence& s, bool bypass) {
  Random& r = source().random;
  bpg::BitWriter w;
  w.ue(0);
  w.ue(0);
  coin(w);        // dependent slice segments
  w.flag(false);  // output flag
  w.bits(u(r.below(3)), 3);
  coin(w);  // sign data hiding
  coin(w);  // cabac_init_present_flag
  w.ue(0);
  w.ue(0);
  put_se(w, r.between(-20, 20));
  // Constrained intra prediction changes nothing here, but makes libavcodec mistake which
  // neighbours are available where coding blocks are at least 16x16.
  w.flag(s.min_cb == 3 && r.one_in(2));
  const bool transform_skip = coin(w);
  // QP deltas, which wrap from the lowest to the highest QP: see highest_qp.
  const bool qp_delta = s.bit_depth < 12 && r.one_in(2);
  w.flag(qp_delta);
  if (qp_delta) {
    w.ue(u(r.between(0, s.ctb - s.min_cb)));
  }
  put_se(w, r.between(-6, 6));
  put_se(w, r.between(-6, 6));
  coin(w);  // chroma QP offsets in slices
  w.bits(0, 2);
  w.flag(bypass);
  const int substreams = r.below(3);  // none, tiles or wavefront
  w.flag(substreams == 1);
  w.flag(substreams == 2);
  if (substreams == 1) {
    put_tiles(w, s);
  }
  coin(w);        // filters across slices
  if (coin(w)) {  // deblocking control
    coin(w);
    if (!coin(w)) {
      put_se(w, r.between(-6, 6));
      put_se(w, r.between(-6, 6));
    }
  }
  w.flag(false);  // scaling lists
  w.flag(false);
  w.ue(0);
  w.flag(r.one_in(4));  // slice header extension
  const bool range = r.one_in(2);
  w.flag(range);
  if (range) {
    put_range_extension(w, s, transform_skip);
  }
  w.trailing_bits();
  return nal(kNalPps, w);
}

// Lengths of the slice segments that a picture is divided into, within the rules for tiles and
// wavefronts: a segment holds whole tiles or lies within one, and one that begins inside a row of a
// wavefront ends with it.
struct Division {
  std::vector<int> lengths;
  std::vector<bool> may_depend;  // whether a segment may go on with the slice before
};

Division divide(const bpg::intra::PictureParameters& pps, const bpg::intra::Sequence& s) {
  Random& r = source().random;
  const bpg::intra::Tiling tiling(pps, s);
  Division division;
  // At edges between slices, libavcodec takes some deblocking offsets from the wrong slice, and
  // does not ask the later slice whether sample offsets may look across.
  const bool one_segment =
      pps.deblocking_override || (s.sao && pps.filter_across_slices) || r.one_in(3);
  const bool whole_tiles = r.one_in(2);
  bool slice_begins_inside = false;
  for (int at = 0; at < s.ctbs();) {
    const auto tile = [&tiling](int order) {
      return tiling.tile[static_cast<std::size_t>(tiling.raster[static_cast<std::size_t>(order)])];
    };
    int end = one_segment ? s.ctbs() : std::min(s.ctbs(), at + r.between(1, s.ctbs()));
    const bool starts_tile = at == 0 || tile(at) != tile(at - 1);
    const bool starts_row = at % s.ctbs_across() == 0;
    if (pps.tiles && !one_segment) {
      int tile_end = at;
      while (tile_end < s.ctbs() && tile(tile_end) == tile(at)) {
        ++tile_end;
      }
      end = whole_tiles ? tile_end : std::min(end, tile_end);
    }
    if (pps.wavefront && !starts_row) {
      end = std::min(end, (at / s.ctbs_across() + 1) * s.ctbs_across());
    }
    const bool may_depend = at > 0 && !(pps.tiles && !whole_tiles && starts_tile) &&
                            !(pps.wavefront && starts_row && slice_begins_inside);
    division.may_depend.push_back(may_depend);
    slice_begins_inside =
        pps.wavefront && (may_depend ? slice_begins_inside || !starts_row : !starts_row);
    division.lengths.push_back(end - at);
    at = end;
  }
  return division;
}

// libavcodec's tables end at 73, offset for the bit depth included.
int highest_qp(const bpg::intra::Sequence& s) {
  constexpr int kMaxChromaOffset = 24;
  return s.bit_depth < 12 ? 51 : 49 - kMaxChromaOffset;
}

// Everything of a slice segment header up to the entry points.
void put_slice_fields(bpg::BitWriter& w, const bpg::intra::Sequence& s,
                      const bpg::intra::PictureParameters& pps, int address, bool dependent) {
  Random& r = source().random;
  w.flag(address == 0);
  w.flag(false);
  w.ue(0);
  if (address > 0) {
    if (pps.dependent_segments) {
      w.flag(dependent);
    }
    int bits = 0;
    while (1 << bits < s.ctbs()) {
      ++bits;
    }
    w.bits(u(address), bits);
  }
  if (dependent) {
    return;
  }
  w.bits(0, pps.extra_header_bits);
  w.ue(2);  // an I slice
  bool filters = false;
  if (s.sao) {
    filters = coin(w);
    if (s.chroma_idc != 0) {
      filters = coin(w) || filters;
    }
  }
  const int qp = r.between(-s.qp_offset(), highest_qp(s));
  put_se(w, qp - pps.init_qp);
  if (pps.slice_chroma_qp_offsets) {
    put_se(w, r.between(-6, 6));
    put_se(w, r.between(-6, 6));
  }
  if (pps.chroma_qp_lists) {
    coin(w);
  }
  bool disabled = pps.deblocking.disabled;
  if (pps.deblocking_override && coin(w)) {
    disabled = coin(w);
    if (!disabled) {
      put_se(w, r.between(-6, 6));
      put_se(w, r.between(-6, 6));
    }
  }
  if (pps.filter_across_slices && (filters || !disabled)) {
    coin(w);
  }
}

// The sizes stand for those of the substreams, which no decoder here needs.
void put_slice_end(bpg::BitWriter& w, const bpg::intra::PictureParameters& pps) {
  if (pps.tiles || pps.wavefront) {
    const bool sizes = source().random.one_in(2);
    w.ue(sizes ? 1 : 0);
    if (sizes) {
      w.ue(15);
      w.bits(100, 16);
    }
  }
  if (pps.header_extension) {
    w.ue(2);
    w.bits(0xABCD, 16);
  }
  w.trailing_bits();
}

std::string describe(unsigned seed, const bpg::intra::Sequence& s,
                     const bpg::intra::PictureParameters& pps,
                     const std::vector<bpg::intra::Slice>& segments) {
  std::string out = "generated picture " + std::to_string(seed) + ":";
  const auto add = [&out](const char* name, int value) {
    if (value != 0) {
      out += " " + std::string(name) + "=" + std::to_string(value);
    }
  };
  add("width", s.width);
  add("height", s.height);
  add("chroma", s.chroma_idc);
  add("depth", s.bit_depth);
  add("ctb", s.ctb);
  add("min_cb", s.min_cb);
  add("min_tb", s.min_tb);
  add("max_tb", s.max_tb);
  add("sao", s.sao);
  add("pcm", s.pcm);
  add("pcm_unfiltered", s.pcm_unfiltered);
  add("strong", s.strong_smoothing);
  add("rotate", s.rotate_transform_skip);
  add("skip_context", s.transform_skip_context);
  add("rdpcm", s.implicit_rdpcm);
  add("no_smoothing", s.smoothing_disabled);
  add("rice", s.persistent_rice);
  add("sign_hiding", pps.sign_hiding);
  add("transform_skip", pps.transform_skip ? pps.max_transform_skip : 0);
  add("qp_delta", pps.qp_delta);
  add("qp_delta_depth", pps.qp_delta_depth);
  add("bypass", pps.transquant_bypass);
  add("tiles", pps.tiles);
  add("wavefront", pps.wavefront);
  add("cross_component", pps.cross_component);
  add("chroma_lists", pps.chroma_qp_lists);
  add("deblocking_off", pps.deblocking.disabled);
  add("deblocking_override", pps.deblocking_override);
  add("segments", static_cast<int>(segments.size()));
  add("dependent", static_cast<int>(std::count_if(
                       segments.begin(), segments.end(),
                       [](const bpg::intra::Slice& slice) { return slice.dependent; })));
  return out;
}

}  // namespace

GeneratedPicture generate_intra_picture(unsigned seed) {
  using bpg::intra::Sequence;
  Source& src = source();
  Random& r = src.random;
  r.seed(seed);
  src.follow_mps = r.between(50, 90);
  src.ones = r.between(20, 50);
  src.pcm_in = r.between(2, 12);
  GeneratedPicture out;
  const bool bypass = r.one_in(3);
  constexpr int kDepths[] = {8, 9, 10, 12};
  out.format.bit_depth = kDepths[r.below(4)];
  out.format.chroma_format_idc = r.below(4);
  out.format.width = r.between(1, 150);
  out.format.height = r.between(1, 150);
  out.format.header = random_header(out.format.bit_depth, out.format.chroma_format_idc, bypass);
  const Sequence sequence(out.format);
  out.nals.push_back(random_pps(sequence, bypass));
  const auto pps = bpg::intra::parse_picture_parameters({out.nals[0].data(), out.nals[0].size()});
  bpg::intra::check_parameters(pps, sequence);
  bpg::intra::CodedPicture picture(sequence, pps);
  bpg::intra::CodingTree tree(picture);
  const Division division = divide(pps, sequence);
  int at = 0;
  for (std::size_t i = 0; i < division.lengths.size(); ++i) {
    const bool dependent = pps.dependent_segments && division.may_depend[i] && r.one_in(2);
    const int address = picture.tiling.raster[static_cast<std::size_t>(at)];
    src.encoder.bits = {};
    put_slice_fields(src.encoder.bits, sequence, pps, address, dependent);
    put_slice_end(src.encoder.bits, pps);
    const std::vector<std::uint8_t> header = nal(kNalIdr, src.encoder.bits);
    const bpg::Nal header_nal{{header.data(), header.size()}, kNalIdr, 0};
    const bpg::intra::SliceUnit unit = bpg::intra::parse_slice(
        header_nal, sequence, pps, picture.slices.empty() ? nullptr : &picture.slices.back());
    src.blocks_left = division.lengths[i];
    tree.decode_segment(unit.slice, {});
    out.nals.push_back(nal(kNalIdr, src.encoder.bits));
    at += division.lengths[i];
  }
  out.description = describe(seed, sequence, pps, picture.slices);
  return out;
}

}  // namespace bpg_test

namespace bpg::intra {

using bpg_test::source;

void CabacReader::start(ByteSpan /*bytes*/) { source().encoder.begin(); }

void CabacReader::restart() { source().encoder.begin(); }

bool CabacReader::decision(Context& context) {
  const bool bin = source().percent(source().follow_mps) == (context.mps != 0);
  source().encoder.decision(context, bin);
  return bin;
}

bool CabacReader::bypass() {
  const bool bin = source().percent(source().ones);
  source().encoder.bypass(bin);
  return bin;
}

std::uint32_t CabacReader::bypass_bits(int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    value = value << 1 | (bypass() ? 1U : 0U);
  }
  return value;
}

bool CabacReader::end_of_slice_segment() {
  const bool bin = --source().blocks_left == 0;
  source().encoder.terminate(bin);
  return bin;
}

bool CabacReader::end_of_substream() {
  source().encoder.terminate(true);
  return true;
}

bool CabacReader::pcm_flag() {
  const bool bin = source().random.one_in(source().pcm_in);
  source().encoder.terminate(bin);
  return bin;
}

std::uint32_t CabacReader::raw_bits(int count) {
  const std::uint32_t value = static_cast<std::uint32_t>(source().random.below(1 << count));
  source().encoder.bits.bits(value, count);
  return value;
}

}  // namespace bpg::intra
