#include "slice_header.hpp"

#include "bits.hpp"
#include "bpg/error.hpp"
#include "hevc_syntax.hpp"

namespace bpg {
namespace {

constexpr std::size_t kHeaderBytes = 64;

// The fields of a PPS on which the layout of a slice header depends.
struct PpsLayout {
  bool chroma_qp_offsets = false;
  bool loop_filter_across_slices = false;
  bool deblocking_override = false;
  bool deblocking_disabled = false;
};

void must_be_off(bool flag) {
  if (flag) {
    throw EncodeError("the encoder's PPS uses a tool that npp does not expect");
  }
}

PpsLayout parse_pps(ByteSpan nal) {
  const std::vector<std::uint8_t> payload = unescape_nal(nal, kHeaderBytes);
  BitReader r({payload.data(), payload.size()});
  PpsLayout layout;
  r.ue();
  r.ue();
  must_be_off(r.flag());  // dependent slice segments
  must_be_off(r.flag());  // output flag
  must_be_off(r.bits(3) != 0);
  r.flag();
  r.flag();
  r.ue();
  r.ue();
  r.se();
  r.flag();
  r.flag();
  if (r.flag()) {
    r.ue();
  }
  r.se();
  r.se();
  layout.chroma_qp_offsets = r.flag();
  r.flag();
  r.flag();
  r.flag();
  must_be_off(r.flag());  // tiles
  must_be_off(r.flag());  // entropy coding synchronisation
  layout.loop_filter_across_slices = r.flag();
  if (r.flag()) {
    layout.deblocking_override = r.flag();
    layout.deblocking_disabled = r.flag();
  }
  return layout;
}

}  // namespace

std::optional<std::size_t> loop_filter_flag_position(ByteSpan pps_nal, ByteSpan idr_slice_nal,
                                                     int chroma_format_idc, bool sao) {
  const PpsLayout pps = parse_pps(pps_nal);
  if (!pps.loop_filter_across_slices) {
    return std::nullopt;
  }
  // A slice header of an IDR picture is too short and too full of ones for emulation prevention.
  BitReader r({idr_slice_nal.data + kNalHeaderSize, idr_slice_nal.size - kNalHeaderSize});
  must_be_off(!r.flag());  // the first slice segment
  r.flag();
  r.ue();
  r.ue();
  bool uses_sao = false;
  if (sao) {
    uses_sao = r.flag();
    if (chroma_format_idc != 0) {
      uses_sao = r.flag() || uses_sao;
    }
  }
  r.se();
  if (pps.chroma_qp_offsets) {
    r.se();
    r.se();
  }
  bool deblocking = !pps.deblocking_disabled;
  if (pps.deblocking_override && r.flag()) {
    deblocking = !r.flag();
    if (deblocking) {
      r.se();
      r.se();
    }
  }
  if (!uses_sao && !deblocking) {
    return std::nullopt;
  }
  return kNalHeaderSize * 8 + r.position();
}

}  // namespace bpg
