// The container: what is written is read back, and what is damaged is refused.
#include <cstdint>
#include <string>
#include <vector>

#include "bits.hpp"
#include "bpg/container.hpp"
#include "bpg/error.hpp"
#include "check.hpp"
#include "hevc_syntax.hpp"

using bpg::Alpha;
using bpg::ByteSpan;
using bpg::Extensions;
using bpg::FileHeader;
using bpg::HevcHeader;

namespace {

ByteSpan span(const std::vector<std::uint8_t>& v) { return {v.data(), v.size()}; }

template <class Function>
bool throws_decode_error(const Function& function) {
  try {
    function();
  } catch (const bpg::DecodeError&) {
    return true;
  }
  return false;
}

HevcHeader some_hevc_header(int seed) {
  HevcHeader h;
  h.log2_min_cb = 3;
  h.log2_diff_max_min_cb = 1 + seed % 3;
  h.log2_min_tb = 2;
  h.log2_diff_max_min_tb = seed % 3;
  h.max_transform_hierarchy_depth_intra = seed % 4;
  h.sao = (seed & 1) != 0;
  h.pcm = (seed & 2) != 0;
  h.log2_min_pcm_cb = 3 + seed % 2;
  h.strong_intra_smoothing = (seed & 4) != 0;
  h.sps_extension = (seed & 8) != 0;
  h.range_extension = h.sps_extension && (seed & 16) != 0;
  h.range_flags =
      h.range_extension ? static_cast<std::uint16_t>(0x100 | (seed & 8)) : std::uint16_t{0};
  return h;
}

bool same(const HevcHeader& a, const HevcHeader& b) {
  return a.log2_min_cb == b.log2_min_cb && a.log2_diff_max_min_cb == b.log2_diff_max_min_cb &&
         a.log2_min_tb == b.log2_min_tb && a.log2_diff_max_min_tb == b.log2_diff_max_min_tb &&
         a.max_transform_hierarchy_depth_intra == b.max_transform_hierarchy_depth_intra &&
         a.sao == b.sao && a.pcm == b.pcm && (!a.pcm || a.log2_min_pcm_cb == b.log2_min_pcm_cb) &&
         a.strong_intra_smoothing == b.strong_intra_smoothing &&
         a.sps_extension == b.sps_extension && a.range_extension == b.range_extension &&
         a.range_flags == b.range_flags;
}

std::vector<std::uint8_t> some_file(int seed, FileHeader& header) {
  header.format.width = 1 + seed * 37 % 70000;
  header.format.height = 1 + seed * 91 % 300;
  header.format.chroma = static_cast<bpg::Chroma>(seed % 6);
  header.format.bit_depth = 8 + seed % 7;
  header.format.color_space = header.format.chroma == bpg::Chroma::gray
                                  ? bpg::ColorSpace::ycbcr_bt601
                                  : static_cast<bpg::ColorSpace>(seed % 5);
  header.format.limited_range = seed % 3 == 0;
  header.format.alpha = static_cast<Alpha>(seed % 4);
  header.animation = seed % 5 == 0;
  header.extensions.clear();
  if (header.animation) {
    header.extensions.push_back(bpg::animation_extension({7, 1, 300000}));
  }
  if (seed % 2 == 0) {
    header.extensions.push_back(
        {1, std::vector<std::uint8_t>(static_cast<std::size_t>(seed) * 3, 9)});
    header.extensions.push_back({77777, {}});
  }
  const HevcHeader color = some_hevc_header(seed);
  const HevcHeader alpha = some_hevc_header(seed + 1);
  const std::vector<std::uint8_t> data = {0x44, 1, 2, 0, 0, 1, 0x28, 1, 0xAC};
  return bpg::write_file(header, header.format.alpha == Alpha::none ? nullptr : &alpha, color,
                         span(data));
}

void what_is_written_is_read() {
  for (int seed = 0; seed < 400; ++seed) {
    FileHeader header;
    const std::vector<std::uint8_t> file = some_file(seed, header);
    const bpg::ParsedFile parsed = bpg::parse_file(span(file));
    CHECK(parsed.header.format == header.format);
    CHECK(parsed.header.animation == header.animation);
    CHECK(parsed.header.extensions.size() == header.extensions.size());
    for (std::size_t i = 0; i < header.extensions.size(); ++i) {
      CHECK(parsed.header.extensions[i].tag == header.extensions[i].tag);
      CHECK(parsed.header.extensions[i].data == header.extensions[i].data);
    }
    CHECK(same(parsed.color, some_hevc_header(seed)));
    CHECK(header.format.alpha == Alpha::none || same(parsed.alpha, some_hevc_header(seed + 1)));
    CHECK(parsed.hevc_data.size == 9);
    if (header.animation) {
      CHECK(parsed.header.animation_control.loop_count == 7);
      CHECK(parsed.header.animation_control.period_den == 300000);
    }
  }
}

void extensions_can_be_left_out() {
  for (int seed = 0; seed < 40; ++seed) {
    FileHeader header;
    const std::vector<std::uint8_t> file = some_file(seed, header);
    const bpg::ParsedFile parsed = bpg::parse_file(span(file), Extensions::left_out);
    CHECK(parsed.header.extensions.empty());
    CHECK(parsed.header.format == header.format && parsed.header.animation == header.animation);
    CHECK(parsed.header.animation_control.period_den == (header.animation ? 300000U : 25U));
    CHECK(same(parsed.color, some_hevc_header(seed)));
    CHECK(parsed.hevc_data.size == 9);
  }
}

bool is_refused(ByteSpan file) {
  return throws_decode_error([file] { (void)bpg::parse_file(file); }) &&
         throws_decode_error([file] { (void)bpg::parse_file(file, Extensions::left_out); });
}

void every_truncation_is_noticed() {
  for (int seed = 0; seed < 40; ++seed) {
    FileHeader header;
    const std::vector<std::uint8_t> file = some_file(seed, header);
    for (std::size_t size = 0; size < file.size(); ++size) {
      CHECK(is_refused({file.data(), size}));
    }
  }
}

void damaged_fields_are_refused() {
  const std::vector<std::vector<std::uint8_t>> damaged = {
      {},
      {0x42, 0x50, 0x47, 0xFA, 0x20, 0x00, 1, 1, 0},                    // magic
      {0x42, 0x50, 0x47, 0xFB, 0xC0, 0x00, 1, 1, 0, 1, 0x92, 1},        // reserved pixel format
      {0x42, 0x50, 0x47, 0xFB, 0x27, 0x00, 1, 1, 0, 1, 0x92, 1},        // bit depth 15
      {0x42, 0x50, 0x47, 0xFB, 0x20, 0x50, 1, 1, 0, 1, 0x92, 1},        // reserved colour space
      {0x42, 0x50, 0x47, 0xFB, 0x20, 0x00, 0, 1, 0, 1, 0x92, 1},        // width 0
      {0x42, 0x50, 0x47, 0xFB, 0x20, 0x00, 0x80, 1, 1, 0, 1, 0x92, 1},  // long form
      {0x42, 0x50, 0x47, 0xFB, 0x20, 0x01, 1, 1, 0, 1, 0x92, 1},        // animation without control
      {0x42, 0x50, 0x47, 0xFB, 0x20, 0x09, 1, 1, 0, 5, 5, 3, 0, 0, 1, 1},  // period 0
      {0x42, 0x50, 0x47, 0xFB, 0x20, 0x08, 1, 1, 0, 3, 1, 0x7F, 0, 1,
       1},  // extension longer than its list
  };
  for (const auto& file : damaged) {
    CHECK(is_refused(span(file)));
  }
}

void sides_go_up_to_the_longest() {
  FileHeader header;
  header.format.width = 1;
  header.format.height = bpg::kMostSide;
  const std::vector<std::uint8_t> data = {0x44, 1, 2};
  const auto file = bpg::write_file(header, nullptr, some_hevc_header(0), span(data));
  CHECK(bpg::parse_file(span(file)).header.format.height == bpg::kMostSide);
  header.format.height = bpg::kMostSide + 1;
  const auto longer = bpg::write_file(header, nullptr, some_hevc_header(0), span(data));
  CHECK(is_refused(span(longer)));
}

void the_number_of_extensions_is_bounded() {
  constexpr std::size_t kMost = 4096;
  FileHeader header;
  header.format.width = header.format.height = 8;
  header.extensions.assign(kMost, {9, {}});
  const HevcHeader color = some_hevc_header(0);
  const std::vector<std::uint8_t> data = {0x44, 1, 2};
  const auto file = bpg::write_file(header, nullptr, color, span(data));
  CHECK(bpg::parse_file(span(file)).header.extensions.size() == kMost);
  header.extensions.push_back({9, {}});
  CHECK_THROWS((void)bpg::write_file(header, nullptr, color, span(data)), bpg::EncodeError);

  // The same file with one more, which write_file refuses to write.
  std::vector<std::uint8_t> bomb = {0x42, 0x50, 0x47, 0xFB, 0x20, 0x08, 8, 8, 0};
  bpg::put_ue7(bomb, 2 * (kMost + 1));
  for (std::size_t i = 0; i <= kMost; ++i) {
    bomb.insert(bomb.end(), {9, 0});
  }
  std::string message;
  try {
    (void)bpg::parse_file(span(bomb));
  } catch (const bpg::DecodeError& error) {
    message = error.what();
  }
  CHECK(message.find("more than 4096 extensions") != std::string::npos);
}

void ue7_is_exact_at_its_edges() {
  for (const std::uint32_t value :
       {0U, 127U, 128U, 16383U, 16384U, 0x0FFFFFFFU, 0x10000000U, 0xFFFFFFFFU}) {
    std::vector<std::uint8_t> bytes;
    bpg::put_ue7(bytes, value);
    bpg::ByteReader reader(span(bytes));
    CHECK(reader.ue7() == value);
    CHECK(reader.left() == 0);
  }
  const std::vector<std::uint8_t> too_large = {0x90, 0x80, 0x80, 0x80, 0x00};
  CHECK(throws_decode_error([&] { (void)bpg::ByteReader(span(too_large)).ue7(); }));
}

void exp_golomb_round_trips() {
  bpg::BitWriter w;
  const std::vector<std::uint32_t> values = {0, 1, 2, 3, 254, 255, 65535, 0x7FFFFFFE};
  for (const std::uint32_t value : values) {
    w.ue(value);
  }
  bpg::BitReader r(span(w.bytes()));
  for (const std::uint32_t value : values) {
    CHECK(r.ue() == value);
  }
}

void emulation_prevention_round_trips() {
  std::vector<std::uint8_t> nal = {0x44, 0x01};
  for (int i = 0; i < 600; ++i) {
    nal.push_back(static_cast<std::uint8_t>((i * 7919 % 11) < 8 ? 0 : i % 5));
  }
  nal.push_back(0x80);
  const std::vector<std::uint8_t> escaped = bpg::escape_nal(span(nal));
  for (std::size_t i = 2; i + 2 < escaped.size(); ++i) {
    CHECK(!(escaped[i] == 0 && escaped[i + 1] == 0 && escaped[i + 2] < 3));
  }
  const std::vector<std::uint8_t> payload = bpg::unescape_nal(span(escaped), 10000);
  CHECK(std::vector<std::uint8_t>(nal.begin() + 2, nal.end()) == payload);
}

void start_codes_are_left_out() {
  const std::vector<std::uint8_t> nal = {0, 0, 0, 1, 0x44, 0x01, 0, 0, 3, 1};
  const ByteSpan rest = bpg::without_start_code(span(nal));
  CHECK(rest.data == nal.data() + 4 && rest.size == 6);
  const std::vector<std::vector<std::uint8_t>> empty = {
      {}, {0}, {0, 0, 0, 0}, {0, 0, 1}, {0, 0, 0, 1, 0x44}};
  for (const auto& bytes : empty) {
    CHECK_THROWS((void)bpg::without_start_code(span(bytes)), bpg::EncodeError);
  }
}

void durations_are_found() {
  std::vector<std::uint8_t> data = {0x44, 0x01, 0xC1};
  const auto append_slice = [&data] { data.insert(data.end(), {0, 0, 1, 0x28, 0x01, 0xAC, 0x55}); };
  append_slice();
  data.insert(data.end(), {0, 0, 0, 1});
  const std::vector<std::uint8_t> sei = bpg::duration_sei(700);
  data.insert(data.end(), sei.begin(), sei.end());
  append_slice();
  append_slice();
  const std::vector<std::uint32_t> expected = {1, 700, 1};
  CHECK(bpg::frame_ticks(bpg::split_nals(span(data))) == expected);
}

void implied_sps_satisfies_our_own_check() {
  for (int seed = 0; seed < 4; ++seed) {
    HevcHeader h = some_hevc_header(seed);
    h.pcm = false;
    for (int chroma = 0; chroma < 4; ++chroma) {
      const std::vector<std::uint8_t> sets = bpg::implied_parameter_sets(h, chroma, 61, 43, 10);
      const std::vector<bpg::Nal> nals = bpg::split_nals({sets.data() + 4, sets.size() - 4});
      CHECK(nals.size() == 2);
      CHECK(nals[0].type == bpg::kNalVps && nals[1].type == bpg::kNalSps);
      CHECK(same(bpg::header_from_sps(nals[1].bytes, chroma, 61, 43, 10, true), h));
    }
  }
}

void forbidden_range_extensions_are_refused() {
  for (const unsigned bit : {0U, 2U, 4U, 5U}) {
    HevcHeader h;
    h.sps_extension = true;
    h.range_extension = true;
    h.range_flags = static_cast<std::uint16_t>(1U << bit);
    CHECK(throws_decode_error([&] { (void)bpg::implied_parameter_sets(h, 1, 64, 64, 8); }));
  }
}

}  // namespace

int main() {
  what_is_written_is_read();
  extensions_can_be_left_out();
  every_truncation_is_noticed();
  damaged_fields_are_refused();
  sides_go_up_to_the_longest();
  the_number_of_extensions_is_bounded();
  ue7_is_exact_at_its_edges();
  exp_golomb_round_trips();
  emulation_prevention_round_trips();
  start_codes_are_left_out();
  durations_are_found();
  implied_sps_satisfies_our_own_check();
  forbidden_range_extensions_are_refused();
  return bpg_test::report();
}
