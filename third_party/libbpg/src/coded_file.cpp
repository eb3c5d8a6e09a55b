#include "coded_file.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "bpg/error.hpp"
#include "hevc_syntax.hpp"

namespace bpg {
namespace {

// HEVC's highest level allows 600 slice segments in a picture. libavcodec takes 5 kilobytes for
// each NAL unit, however short it is.
constexpr std::size_t kMaxNalsPerPicture = 4096;

// The NAL units of one stream.
struct GroupedStream {
  std::vector<std::vector<Nal>> pictures;
  std::vector<Nal> pending;  // belong to the picture that follows

  [[nodiscard]] bool is_full(std::size_t max_pictures, const Nal& next) const {
    return pictures.size() == max_pictures && is_slice(next.type) && starts_picture(next);
  }
};

void take_nal(GroupedStream& stream, const Nal& nal) {
  if (nal.type == kNalVps || nal.type == kNalSps) {
    throw DecodeError("damaged file: a parameter set stands in the HEVC data that BPG leaves out");
  }
  if (!is_slice(nal.type)) {
    // A picture hash stands behind its picture, everything else before it.
    const bool behind = nal.type == kNalSuffixSei && !stream.pictures.empty();
    (behind ? stream.pictures.back() : stream.pending).push_back(nal);
    return;
  }
  if (starts_picture(nal)) {
    stream.pictures.push_back(std::exchange(stream.pending, {}));
  } else if (stream.pictures.empty()) {
    throw DecodeError("damaged file: a picture lacks its first slice");
  }
  stream.pictures.back().push_back(nal);
}

std::vector<AccessUnit> joined_units(GroupedStream& color, GroupedStream* alpha) {
  if (color.pictures.empty() ||
      (alpha != nullptr && alpha->pictures.size() < color.pictures.size())) {
    throw DecodeError("damaged file: a picture or its alpha plane is missing");
  }
  std::vector<AccessUnit> units(color.pictures.size());
  for (std::size_t i = 0; i < units.size(); ++i) {
    units[i].color = std::move(color.pictures[i]);
    if (alpha != nullptr) {
      units[i].alpha = std::move(alpha->pictures[i]);
    }
    const std::size_t most = std::max(units[i].color.size(), units[i].alpha.size());
    if (most > kMaxNalsPerPicture) {
      throw DecodeError("damaged file: a picture of " + std::to_string(most) +
                        " NAL units; at most " + std::to_string(kMaxNalsPerPicture) +
                        " are allowed");
    }
  }
  return units;
}

// Groups NAL units by picture. A parameter set belongs to the picture that follows it.
std::vector<AccessUnit> group_pictures(const std::vector<Nal>& nals, bool has_alpha,
                                       std::size_t max_pictures) {
  GroupedStream color;
  GroupedStream alpha;
  for (const Nal& nal : nals) {
    if (nal.layer == 0) {
      if (color.is_full(max_pictures, nal)) {
        break;
      }
      take_nal(color, nal);
    } else if (has_alpha && nal.layer == 1) {
      take_nal(alpha, nal);
    }
  }
  return joined_units(color, has_alpha ? &alpha : nullptr);
}

void check_limits(const Format& f, std::size_t frames, const DecodeLimits& limits) {
  const auto pixels = static_cast<std::uint64_t>(f.width) * static_cast<std::uint64_t>(f.height);
  // Sides fit in 31 bits, so that the product is exact; the second comparison cannot overflow.
  if (pixels > limits.max_pixels || frames > limits.max_pixels / pixels) {
    throw DecodeError("the file claims " + std::to_string(frames) + " frame(s) of " +
                      std::to_string(f.width) + "x" + std::to_string(f.height) +
                      " pixels; the limit is " + std::to_string(limits.max_pixels) +
                      " pixels in all");
  }
}

void check_first_picture(const std::vector<Nal>& nals) {
  for (const Nal& nal : nals) {
    if (is_slice(nal.type) && !is_irap(nal.type)) {
      throw DecodeError("damaged file: its first picture refers to pictures before it");
    }
  }
}

void check_bit_depth(int depth) {
  if (depth == 11 || depth > 12) {
    throw UnsupportedError("bit depth " + std::to_string(depth) +
                           ": libavcodec decodes 8, 9, 10 and 12 bits, not 11, 13 and 14");
  }
}

// A header that lies about the size is found out before it costs memory.
void check_plausible(const Format& f, const HevcHeader& header, const std::vector<Nal>& nals) {
  std::uint64_t bytes = 0;
  for (const Nal& nal : nals) {
    bytes += is_slice(nal.type) ? nal.bytes.size : 0;
  }
  if (!can_hold(header, f.width, f.height, bytes)) {
    throw DecodeError("damaged file: " + std::to_string(bytes) +
                      " bytes cannot hold a picture of " + std::to_string(f.width) + "x" +
                      std::to_string(f.height) + " pixels");
  }
}

}  // namespace

CodedFile open_file(ByteSpan file, const DecodeLimits& limits) {
  CodedFile coded;
  coded.parsed = parse_file(file, Extensions::left_out);
  const ParsedFile& parsed = coded.parsed;
  const Format& format = parsed.header.format;
  const bool has_alpha = format.alpha != Alpha::none;
  check_bit_depth(format.bit_depth);
  check_limits(format, 1, limits);
  const std::vector<Nal> nals = split_nals(parsed.hevc_data);
  coded.units =
      group_pictures(nals, has_alpha, parsed.header.animation ? nals.size() : std::size_t{1});
  check_limits(format, coded.units.size(), limits);
  const AccessUnit& first = coded.units.front();
  check_first_picture(first.color);
  check_plausible(format, parsed.color, first.color);
  if (has_alpha) {
    check_first_picture(first.alpha);
    check_plausible(format, parsed.alpha, first.alpha);
  }
  return coded;
}

}  // namespace bpg
