#include "intra/slice.hpp"

#include <limits>

#include "bits.hpp"
#include "hevc_syntax.hpp"

namespace bpg::intra {
namespace {

constexpr int kNalIdrWithRadl = 19;
constexpr int kNalIdr = 20;
constexpr int kPocBits = 8;  // BPG's log2_max_pic_order_cnt_lsb
constexpr std::uint32_t kIntraSlice = 2;
constexpr std::uint32_t kMaxReferences = 16;
constexpr int kChromaQpLimit = 12;
constexpr int kFilterOffsetLimit = 6;
constexpr std::size_t kIdBytes = 8;  // more than the fields up to the PPS id fill

int bits_for(int values) {
  int bits = 0;
  while ((std::int64_t{1} << bits) < values) {
    ++bits;
  }
  return bits;
}

int signed_field(BitReader& r, int limit, const char* name) {
  const int value = r.se();
  if (value < -limit || value > limit) {
    damaged("slice header field " + std::string(name) + " is " + std::to_string(value));
  }
  return value;
}

// A set that stands in a slice header after an SPS without sets.
void skip_reference_picture_set(BitReader& r) {
  const std::uint32_t negative = r.ue();
  const std::uint32_t positive = r.ue();
  if (negative > kMaxReferences || positive > kMaxReferences) {
    damaged("a slice header names too many reference pictures");
  }
  for (std::uint32_t i = 0; i < negative + positive; ++i) {
    r.ue();
    r.flag();
  }
}

void skip_picture_order(BitReader& r, int nal_type) {
  if (nal_type == kNalIdrWithRadl || nal_type == kNalIdr) {
    return;
  }
  r.bits(kPocBits);
  if (r.flag()) {
    damaged("a slice header refers to reference pictures that BPG does not have");
  }
  skip_reference_picture_set(r);
  r.flag();  // slice_temporal_mvp_enabled_flag
}

void parse_filters(BitReader& r, const PictureParameters& pps, Slice& slice) {
  slice.deblocking = pps.deblocking;
  if (pps.deblocking_override && r.flag()) {
    slice.deblocking = {};
    slice.deblocking.disabled = r.flag();
    if (!slice.deblocking.disabled) {
      slice.deblocking.beta_offset = signed_field(r, kFilterOffsetLimit, "slice_beta_offset_div2");
      slice.deblocking.tc_offset = signed_field(r, kFilterOffsetLimit, "slice_tc_offset_div2");
    }
  }
  slice.filter_across = pps.filter_across_slices;
  if (pps.filter_across_slices && (slice.sao[0] || slice.sao[1] || !slice.deblocking.disabled)) {
    slice.filter_across = r.flag();
  }
}

void parse_quantisation(BitReader& r, const Sequence& s, const PictureParameters& pps,
                        Slice& slice) {
  const std::int64_t qp = std::int64_t{pps.init_qp} + r.se();
  if (qp < -s.qp_offset() || qp > 51) {
    damaged("slice QP " + std::to_string(qp));
  }
  slice.qp = static_cast<int>(qp);
  slice.qp_offset = pps.qp_offset;
  if (pps.slice_chroma_qp_offsets) {
    for (const std::size_t plane : {1U, 2U}) {
      slice.qp_offset[plane] += signed_field(r, kChromaQpLimit, "slice_chroma_qp_offset");
      if (slice.qp_offset[plane] < -kChromaQpLimit || slice.qp_offset[plane] > kChromaQpLimit) {
        damaged("a slice's chroma QP offset is out of range");
      }
    }
  }
  slice.chroma_qp_adjust = pps.chroma_qp_lists && r.flag();
}

void parse_independent_fields(BitReader& r, int nal_type, const Sequence& s,
                              const PictureParameters& pps, Slice& slice) {
  r.bits(pps.extra_header_bits);
  if (r.ue() != kIntraSlice) {
    damaged("its first picture has a slice that is not intra coded");
  }
  if (pps.output_flag && !r.flag()) {
    damaged("its picture is not meant to be shown");
  }
  skip_picture_order(r, nal_type);
  if (s.sao) {
    slice.sao[0] = r.flag();
    slice.sao[1] = slice.sao[2] = s.chroma_idc != 0 && r.flag();
  }
  parse_quantisation(r, s, pps, slice);
  parse_filters(r, pps, slice);
}

// Substreams follow each other without gaps, so that where they begin need not be looked up.
void skip_entry_points(BitReader& r) {
  const std::uint32_t count = r.ue();
  if (count == 0) {
    return;
  }
  const std::uint32_t length = r.ue();
  if (length > 31) {
    damaged("slice header field offset_len_minus1 is " + std::to_string(length));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    r.bits(static_cast<int>(length) + 1);
  }
}

void skip_to_data(BitReader& r) {
  bool aligned = r.flag();
  while (aligned && r.position() % 8 != 0) {
    aligned = !r.flag();
  }
  if (!aligned) {
    damaged("a slice header does not end where it should");
  }
}

}  // namespace

std::uint32_t parse_slice_pps_id(const Nal& nal) {
  const std::vector<std::uint8_t> payload = unescape_nal(nal.bytes, kIdBytes);
  BitReader r({payload.data(), payload.size()});
  r.flag();
  if (nal.type >= kNalFirstIrap) {
    r.flag();
  }
  return r.ue();
}

SliceUnit parse_slice(const Nal& nal, const Sequence& s, const PictureParameters& pps,
                      const Slice* previous) {
  SliceUnit unit;
  unit.payload = unescape_nal(nal.bytes, std::numeric_limits<std::size_t>::max());
  BitReader r({unit.payload.data(), unit.payload.size()});
  Slice slice;
  slice.first_in_picture = r.flag();
  if (nal.type >= kNalFirstIrap) {
    r.flag();  // no_output_of_prior_pics_flag
  }
  slice.pps_id = r.ue();
  if (!slice.first_in_picture) {
    slice.dependent = pps.dependent_segments && r.flag();
    slice.segment_address = static_cast<int>(r.bits(bits_for(s.ctbs())));
  }
  if (slice.segment_address >= s.ctbs() || slice.segment_address < 0) {
    damaged("a slice begins outside the picture");
  }
  if (slice.dependent) {
    if (previous == nullptr) {
      damaged("a picture lacks its first slice");
    }
    const Slice own = slice;
    slice = *previous;
    slice.first_in_picture = false;
    slice.pps_id = own.pps_id;
    slice.dependent = true;
    slice.segment_address = own.segment_address;
  } else {
    slice.address = slice.segment_address;
    parse_independent_fields(r, nal.type, s, pps, slice);
  }
  if (pps.tiles || pps.wavefront) {
    skip_entry_points(r);
  }
  if (pps.header_extension) {
    for (std::uint32_t bytes = r.ue(); bytes > 0; --bytes) {
      r.bits(8);
    }
  }
  skip_to_data(r);
  unit.slice = slice;
  unit.data_begin = r.position() / 8;
  return unit;
}

}  // namespace bpg::intra
