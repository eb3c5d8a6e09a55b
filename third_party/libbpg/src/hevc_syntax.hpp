#pragma once

#include <cstdint>
#include <vector>

#include "bpg/container.hpp"

namespace bpg {

class BitWriter;

// NAL unit types of ITU-T H.265 table 7-1 that BPG meets.
inline constexpr int kNalFirstIrap = 16;
inline constexpr int kNalLastIrap = 21;
inline constexpr int kNalVps = 32;
inline constexpr int kNalSps = 33;
inline constexpr int kNalPps = 34;
inline constexpr int kNalPrefixSei = 39;
inline constexpr int kNalSuffixSei = 40;
inline constexpr std::size_t kNalHeaderSize = 2;

/// The SEI message that BPG has for how long a frame of an animation is shown.
inline constexpr std::uint32_t kFrameDurationSei = 257;

[[nodiscard]] constexpr bool is_irap(int type) {
  return type >= kNalFirstIrap && type <= kNalLastIrap;
}
/// Slice segments: types 0..9 and 16..21; what lies between is reserved.
[[nodiscard]] constexpr bool is_slice(int type) {
  return (type >= 0 && type <= 9) || is_irap(type);
}
/// The fields about PCM, which are the same in BPG's header and in an SPS.
void put_pcm(BitWriter& w, const HevcHeader& h);

/// What stands behind the start code of a NAL unit that an encoder wrote, zeros before it included.
/// Throws EncodeError where less than a NAL unit's header does.
[[nodiscard]] ByteSpan without_start_code(ByteSpan nal);

/// Whether a slice NAL unit begins a new picture.
[[nodiscard]] bool starts_picture(const Nal& nal);

/// Whether slices of so many bytes can be those of an intra picture: each coding block costs at
/// least one bypass-coded bit (mpm_idx).
[[nodiscard]] bool can_hold(const HevcHeader& header, int width, int height,
                            std::uint64_t slice_bytes);

/// Whether libavcodec takes pictures of such a size: eight bytes for each sample of a row and 1024
/// more, times the rows and 128 more, must be below 2 GiB. Rounds both sides up to 64, as
/// libavcodec does a width (to less on some machines) and coding blocks may.
[[nodiscard]] bool libavcodec_takes(int width, int height);

/// The header fields of an SPS that an encoder wrote. Throws EncodeError when the SPS breaks one of
/// the restrictions under which BPG can drop it (see README.md), since no decoder could rebuild it.
/// `inter`: the stream may hold pictures to which the tools of inter prediction matter.
[[nodiscard]] HevcHeader header_from_sps(ByteSpan sps_nal, int chroma_format_idc, int width,
                                         int height, int bit_depth, bool inter);

/// VPS and SPS as BPG implies them, each after a four-byte start code. `width` and `height` are the
/// picture's; they are rounded up to the smallest coding block here.
[[nodiscard]] std::vector<std::uint8_t> implied_parameter_sets(const HevcHeader& header,
                                                               int chroma_format_idc, int width,
                                                               int height, int bit_depth);

/// A prefix SEI NAL unit (layer 0) that says a frame is shown for `ticks` frame periods.
[[nodiscard]] std::vector<std::uint8_t> duration_sei(std::uint16_t ticks);

}  // namespace bpg
