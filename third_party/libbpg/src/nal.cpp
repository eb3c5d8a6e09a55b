#include <string>

#include "bits.hpp"
#include "bpg/container.hpp"
#include "bpg/error.hpp"
#include "hevc_syntax.hpp"

namespace bpg {
namespace {

// More than any SEI message before the one that is looked for could reasonably need.
constexpr std::size_t kMaxSeiBytes = 64 * 1024;

// The first position at or after `from` where 00 00 01 stands, or the size.
std::size_t find_start_code(ByteSpan data, std::size_t from) {
  for (std::size_t i = from; i + 3 <= data.size;) {
    if (data.data[i + 2] > 1) {
      i += 3;
    } else if (data.data[i] == 0 && data.data[i + 1] == 0 && data.data[i + 2] == 1) {
      return i;
    } else {
      ++i;
    }
  }
  return data.size;
}

Nal make_nal(ByteSpan bytes) {
  if (bytes.size < kNalHeaderSize || (bytes.data[0] & 0x80U) != 0) {
    throw DecodeError("damaged file: a NAL unit of " + std::to_string(bytes.size) +
                      " bytes without a legal header");
  }
  Nal nal;
  nal.bytes = bytes;
  nal.type = (bytes.data[0] >> 1) & 0x3F;
  nal.layer = (bytes.data[0] & 1) << 5 | bytes.data[1] >> 3;
  return nal;
}

std::uint32_t sei_number(const std::vector<std::uint8_t>& bytes, std::size_t& at) {
  std::uint32_t value = 0;
  while (at < bytes.size() && bytes[at] == 0xFF) {
    value += 0xFF;
    ++at;
  }
  return at < bytes.size() ? value + bytes[at++] : value;
}

// Ticks that a prefix SEI gives, or 0 when it holds no frame duration. A damaged one holds none.
std::uint32_t ticks_of_sei(const Nal& nal) {
  const std::vector<std::uint8_t> bytes = unescape_nal(nal.bytes, kMaxSeiBytes);
  std::size_t at = 0;
  while (at + 2 < bytes.size()) {
    const std::uint32_t type = sei_number(bytes, at);
    const std::uint32_t size = sei_number(bytes, at);
    if (size > bytes.size() - at) {
      return 0;
    }
    if (type == kFrameDurationSei && size >= 2) {
      return static_cast<std::uint32_t>(bytes[at]) << 8 | bytes[at + 1];
    }
    at += size;
  }
  return 0;
}

}  // namespace

std::vector<std::uint8_t> unescape_nal(ByteSpan nal, std::size_t limit) {
  std::vector<std::uint8_t> out;
  int zeros = 0;
  for (std::size_t i = kNalHeaderSize; i < nal.size && out.size() < limit; ++i) {
    const std::uint8_t byte = nal.data[i];
    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    out.push_back(byte);
  }
  return out;
}

std::vector<std::uint8_t> escape_nal(ByteSpan nal) {
  std::vector<std::uint8_t> out;
  out.reserve(nal.size + 8);
  int zeros = 0;
  for (std::size_t i = 0; i < nal.size; ++i) {
    const std::uint8_t byte = nal.data[i];
    if (i >= kNalHeaderSize && zeros >= 2 && byte <= 3) {
      out.push_back(3);
      zeros = 0;
    }
    zeros = byte == 0 && i >= kNalHeaderSize ? zeros + 1 : 0;
    out.push_back(byte);
  }
  return out;
}

ByteSpan without_start_code(ByteSpan nal) {
  std::size_t begin = 0;
  while (begin < nal.size && nal.data[begin] == 0) {
    ++begin;
  }
  ++begin;  // the one behind the zeros
  if (begin + kNalHeaderSize > nal.size) {
    throw EncodeError("x265 wrote an empty NAL unit");
  }
  return {nal.data + begin, nal.size - begin};
}

std::vector<Nal> split_nals(ByteSpan hevc_data) {
  std::vector<Nal> nals;
  // The first start code is dropped by BPG, but one that stands there all the same does no harm.
  std::size_t begin = 0;
  while (begin < hevc_data.size) {
    std::size_t next = find_start_code(hevc_data, begin);
    std::size_t end = next;
    while (end > begin && hevc_data.data[end - 1] == 0) {
      --end;  // trailing_zero_8bits, or the first byte of a four-byte start code
    }
    if (end > begin) {
      nals.push_back(make_nal({hevc_data.data + begin, end - begin}));
    }
    begin = next == hevc_data.size ? next : next + 3;
  }
  return nals;
}

std::vector<std::uint32_t> frame_ticks(const std::vector<Nal>& nals) {
  std::vector<std::uint32_t> ticks;
  std::uint32_t pending = 1;
  for (const Nal& nal : nals) {
    if (nal.layer != 0) {
      continue;
    }
    if (nal.type == kNalPrefixSei) {
      const std::uint32_t given = ticks_of_sei(nal);
      pending = given != 0 ? given : pending;
    } else if (is_slice(nal.type) && starts_picture(nal)) {
      ticks.push_back(pending);
      pending = 1;
    }
  }
  return ticks;
}

}  // namespace bpg
