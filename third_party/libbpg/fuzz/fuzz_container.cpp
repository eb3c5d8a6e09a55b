// The container parser: any bytes are refused with DecodeError or parsed to what writes them again.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/decoder.hpp"
#include "bpg/error.hpp"
#include "require.hpp"

namespace {

bool equal(const std::vector<bpg::Extension>& a, const std::vector<bpg::Extension>& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].tag != b[i].tag || a[i].data != b[i].data) {
      return false;
    }
  }
  return true;
}

// What was parsed, written and parsed again is the same.
void write_again(const bpg::ParsedFile& parsed) {
  const bool has_alpha = parsed.header.format.alpha != bpg::Alpha::none;
  std::vector<std::uint8_t> file;
  try {
    file = bpg::write_file(parsed.header, has_alpha ? &parsed.alpha : nullptr, parsed.color,
                           parsed.hevc_data);
  } catch (const bpg::EncodeError&) {
    return;  // the format can say more than the writer agrees to write
  }
  const bpg::ParsedFile again = bpg::parse_file({file.data(), file.size()});
  FUZZ_REQUIRE(again.header.format == parsed.header.format);
  FUZZ_REQUIRE(again.header.animation == parsed.header.animation);
  FUZZ_REQUIRE(equal(again.header.extensions, parsed.header.extensions));
  FUZZ_REQUIRE(again.color.range_flags == parsed.color.range_flags);
  FUZZ_REQUIRE(again.color.sao == parsed.color.sao && again.color.pcm == parsed.color.pcm);
  FUZZ_REQUIRE(again.hevc_data.size == parsed.hevc_data.size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bpg::ByteSpan file{data, size};
  try {
    const bpg::ParsedFile parsed = bpg::parse_file(file);
    FUZZ_REQUIRE(parsed.header.format.width > 0 && parsed.header.format.height > 0);
    FUZZ_REQUIRE(parsed.hevc_data.size <= size);
    write_again(parsed);
    const std::vector<bpg::Nal> nals = bpg::split_nals(parsed.hevc_data);
    FUZZ_REQUIRE(bpg::frame_ticks(nals).size() <= nals.size());
    FUZZ_REQUIRE(!bpg::probe(file).ticks.empty());
  } catch (const bpg::DecodeError&) {
    return 0;
  }
  return 0;
}
