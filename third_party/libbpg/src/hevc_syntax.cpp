#include "hevc_syntax.hpp"

#include <cstring>
#include <limits>
#include <string>

#include "bits.hpp"
#include "bpg/error.hpp"

namespace bpg {
namespace {

constexpr int kLog2MaxPocLsb = 8;
constexpr int kMaxDecPictureBuffering = 2;
constexpr std::size_t kMaxSpsBytes = 4096;

enum RangeFlag : unsigned {  // bit positions in HevcHeader::range_flags
  kCabacBypassAlignment = 0,
  kHighPrecisionOffsets = 2,
  kExtendedPrecision = 4,
  kExplicitRdpcm = 5,
};

void put_nal_header(BitWriter& w, int type) {
  w.flag(false);
  w.bits(static_cast<std::uint32_t>(type), 6);
  w.bits(0, 6);
  w.bits(1, 3);
}

// Range extensions profile: it admits every chroma format and bit depth that BPG has.
void put_profile_tier_level(BitWriter& w) {
  constexpr std::uint32_t kRangeExtensionsProfile = 4;
  constexpr std::uint32_t kLevel62 = 186;
  w.bits(0, 2);
  w.flag(false);
  w.bits(kRangeExtensionsProfile, 5);
  w.bits(1U << (31 - kRangeExtensionsProfile), 32);
  w.bits(0x9, 4);  // progressive source, frames only
  w.bits(0, 22);
  w.bits(0, 22);
  w.bits(kLevel62, 8);
}

void put_sub_layer_ordering(BitWriter& w) {
  w.flag(true);
  w.ue(kMaxDecPictureBuffering - 1);
  w.ue(0);
  w.ue(0);
}

void append_nal(std::vector<std::uint8_t>& out, const BitWriter& w) {
  out.insert(out.end(), {0, 0, 0, 1});
  const std::vector<std::uint8_t> nal = escape_nal({w.bytes().data(), w.bytes().size()});
  out.insert(out.end(), nal.begin(), nal.end());
}

void put_vps(std::vector<std::uint8_t>& out) {
  BitWriter w;
  put_nal_header(w, kNalVps);
  w.bits(0, 4);
  w.bits(3, 2);  // base layer internal and available
  w.bits(0, 6);
  w.bits(0, 3);
  w.flag(true);
  w.bits(0xFFFF, 16);
  put_profile_tier_level(w);
  put_sub_layer_ordering(w);
  w.bits(0, 6);
  w.ue(0);
  w.flag(false);
  w.flag(false);
  w.trailing_bits();
  append_nal(out, w);
}

void put_sps_extension(BitWriter& w, const HevcHeader& h) {
  // Only range extensions are passed on; other extension bits mean nothing in a BPG file.
  w.flag(h.sps_extension && h.range_extension);
  if (h.sps_extension && h.range_extension) {
    w.flag(true);
    w.bits(0, 7);
    w.bits(h.range_flags, 9);
  }
}

// A side of the picture, rounded up to the smallest coding block.
std::uint32_t coded_side(const HevcHeader& h, int side) {
  return static_cast<std::uint32_t>((side + h.min_cb_size() - 1) / h.min_cb_size() *
                                    h.min_cb_size());
}

void put_sps(std::vector<std::uint8_t>& out, const HevcHeader& h, int chroma_format_idc, int width,
             int height, int bit_depth) {
  BitWriter w;
  put_nal_header(w, kNalSps);
  w.bits(0, 4);
  w.bits(0, 3);
  w.flag(true);
  put_profile_tier_level(w);
  w.ue(0);
  w.ue(static_cast<std::uint32_t>(chroma_format_idc));
  if (chroma_format_idc == 3) {
    w.flag(false);
  }
  w.ue(coded_side(h, width));
  w.ue(coded_side(h, height));
  w.flag(false);
  w.ue(static_cast<std::uint32_t>(bit_depth - 8));
  w.ue(static_cast<std::uint32_t>(bit_depth - 8));
  w.ue(kLog2MaxPocLsb - 4);
  put_sub_layer_ordering(w);
  w.ue(static_cast<std::uint32_t>(h.log2_min_cb - 3));
  w.ue(static_cast<std::uint32_t>(h.log2_diff_max_min_cb));
  w.ue(static_cast<std::uint32_t>(h.log2_min_tb - 2));
  w.ue(static_cast<std::uint32_t>(h.log2_diff_max_min_tb));
  w.ue(static_cast<std::uint32_t>(h.max_transform_hierarchy_depth_intra));
  w.ue(static_cast<std::uint32_t>(h.max_transform_hierarchy_depth_intra));
  w.flag(false);
  w.flag(true);
  w.flag(h.sao);
  put_pcm(w, h);
  w.ue(0);
  w.flag(false);
  w.flag(true);
  w.flag(h.strong_intra_smoothing);
  w.flag(false);
  put_sps_extension(w, h);
  w.trailing_bits();
  append_nal(out, w);
}

void skip(BitReader& r, int count) {
  for (int i = 0; i < count; ++i) {
    r.flag();
  }
}

void skip_vui(BitReader& r) {
  if (r.flag() && r.bits(8) == 255) {  // aspect ratio
    skip(r, 32);
  }
  if (r.flag()) {  // overscan
    r.flag();
  }
  if (r.flag()) {  // video signal type
    skip(r, 4);
    if (r.flag()) {
      skip(r, 24);
    }
  }
  if (r.flag()) {  // chroma location
    r.ue();
    r.ue();
  }
  skip(r, 3);
  if (r.flag()) {  // default display window
    for (int i = 0; i < 4; ++i) {
      r.ue();
    }
  }
  const bool timing = r.flag();
  const bool restriction = r.flag();
  if (timing || restriction) {
    throw EncodeError("the encoder wrote timing or restriction fields into its SPS");
  }
}

void must_be(bool ok, const char* what) {
  if (!ok) {
    throw EncodeError("the encoder's SPS cannot be written as BPG: " + std::string(what));
  }
}

}  // namespace

void put_pcm(BitWriter& w, const HevcHeader& h) {
  w.flag(h.pcm);
  if (h.pcm) {
    w.bits(static_cast<std::uint32_t>(h.pcm_bit_depth_luma - 1), 4);
    w.bits(static_cast<std::uint32_t>(h.pcm_bit_depth_chroma - 1), 4);
    w.ue(static_cast<std::uint32_t>(h.log2_min_pcm_cb - 3));
    w.ue(static_cast<std::uint32_t>(h.log2_diff_max_min_pcm_cb));
    w.flag(h.pcm_loop_filter_disabled);
  }
}

bool starts_picture(const Nal& nal) {
  return nal.bytes.size > kNalHeaderSize && (nal.bytes.data[kNalHeaderSize] & 0x80U) != 0;
}

bool can_hold(const HevcHeader& header, int width, int height, std::uint64_t slice_bytes) {
  const auto ctb = std::uint64_t{1} << (header.log2_min_cb + header.log2_diff_max_min_cb);
  const std::uint64_t blocks = ((static_cast<std::uint64_t>(width) + ctb - 1) / ctb) *
                               ((static_cast<std::uint64_t>(height) + ctb - 1) / ctb);
  return blocks <= slice_bytes * 8;
}

bool libavcodec_takes(int width, int height) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto rounded = [](std::int64_t side) { return (side + 63) / 64 * 64; };
  const std::int64_t row = 8 * rounded(width) + 1024;
  return row < kMost && row * (rounded(height) + 128) < kMost;
}

HevcHeader header_from_sps(ByteSpan sps_nal, int chroma_format_idc, int width, int height,
                           int bit_depth, bool inter) {
  const std::vector<std::uint8_t> payload = unescape_nal(sps_nal, kMaxSpsBytes);
  BitReader r({payload.data(), payload.size()});
  HevcHeader h;
  must_be(r.bits(4) == 0, "its VPS id is not 0");
  must_be(r.bits(3) == 0, "it has several sub-layers");
  skip(r, 1 + 96);
  must_be(r.ue() == 0, "its id is not 0");
  must_be(r.ue() == static_cast<std::uint32_t>(chroma_format_idc), "wrong chroma format");
  if (chroma_format_idc == 3) {
    must_be(!r.flag(), "separate colour planes");
  }
  const std::uint32_t coded_width = r.ue();
  const std::uint32_t coded_height = r.ue();
  if (r.flag()) {
    for (int i = 0; i < 4; ++i) {
      r.ue();
    }
  }
  must_be(r.ue() == static_cast<std::uint32_t>(bit_depth - 8), "wrong luma bit depth");
  must_be(r.ue() == static_cast<std::uint32_t>(bit_depth - 8), "wrong chroma bit depth");
  must_be(r.ue() == kLog2MaxPocLsb - 4, "log2_max_pic_order_cnt_lsb is not 8");
  r.flag();
  for (int i = 0; i < 3; ++i) {
    r.ue();
  }
  h.log2_min_cb = 3 + static_cast<int>(r.ue());
  h.log2_diff_max_min_cb = static_cast<int>(r.ue());
  h.log2_min_tb = 2 + static_cast<int>(r.ue());
  h.log2_diff_max_min_tb = static_cast<int>(r.ue());
  const std::uint32_t inter_depth = r.ue();
  const std::uint32_t intra_depth = r.ue();
  must_be(inter_depth == intra_depth, "transform hierarchy depths differ");
  h.max_transform_hierarchy_depth_intra = static_cast<int>(intra_depth);
  must_be(!r.flag(), "scaling lists");
  // x265 switches them off at its lowest rate-distortion levels; an intra picture has none.
  must_be(r.flag() || !inter, "asymmetric motion partitions are off");
  h.sao = r.flag();
  h.pcm = r.flag();
  must_be(!h.pcm, "PCM");
  must_be(r.ue() == 0, "short-term reference picture sets in the SPS");
  must_be(!r.flag(), "long-term reference pictures");
  must_be(r.flag(), "temporal motion vector prediction is off");
  h.strong_intra_smoothing = r.flag();
  if (r.flag()) {
    skip_vui(r);
  }
  must_be(!r.flag(), "an SPS extension");
  must_be(coded_width == coded_side(h, width) && coded_height == coded_side(h, height),
          "the coded size is not the picture's rounded up to the smallest coding block");
  return h;
}

std::vector<std::uint8_t> implied_parameter_sets(const HevcHeader& header, int chroma_format_idc,
                                                 int width, int height, int bit_depth) {
  constexpr unsigned kForbidden = 1U << kCabacBypassAlignment | 1U << kHighPrecisionOffsets |
                                  1U << kExtendedPrecision | 1U << kExplicitRdpcm;
  if ((header.range_flags & kForbidden) != 0) {
    throw DecodeError("damaged file: a range extension is switched on that BPG does not allow");
  }
  std::vector<std::uint8_t> out;
  put_vps(out);
  put_sps(out, header, chroma_format_idc, width, height, bit_depth);
  return out;
}

std::vector<std::uint8_t> duration_sei(std::uint16_t ticks) {
  BitWriter w;
  put_nal_header(w, kNalPrefixSei);
  w.bits(0xFF, 8);
  w.bits(kFrameDurationSei - 0xFF, 8);
  w.bits(2, 8);
  w.bits(ticks, 16);
  w.trailing_bits();
  return escape_nal({w.bytes().data(), w.bytes().size()});
}

}  // namespace bpg
