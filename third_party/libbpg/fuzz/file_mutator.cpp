// libFuzzer's hooks for targets that read BPG files: most of a changed file stays meaningful.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "bpg/container.hpp"
#include "bpg/error.hpp"

// libFuzzer's own mutation of a byte string.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using Random = std::minstd_rand;

constexpr std::size_t kRoom = 64;  // by which one mutation may lengthen the picture data

int draw(Random& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}

void change_blocks(bpg::HevcHeader& h, Random& random) {
  switch (draw(random, 0, 4)) {
    case 0:
      h.log2_min_cb = draw(random, 3, 6);
      break;
    case 1:
      h.log2_diff_max_min_cb = draw(random, 0, 3);
      break;
    case 2:
      h.log2_min_tb = draw(random, 2, 5);
      break;
    case 3:
      h.log2_diff_max_min_tb = draw(random, 0, 3);
      break;
    default:
      h.max_transform_hierarchy_depth_intra = draw(random, 0, 4);
  }
}

void change_pcm(bpg::HevcHeader& h, Random& random) {
  h.pcm = true;
  h.pcm_bit_depth_luma = draw(random, 1, 16);
  h.pcm_bit_depth_chroma = draw(random, 1, 16);
  h.log2_min_pcm_cb = draw(random, 3, 5);
  h.log2_diff_max_min_pcm_cb = draw(random, 0, 2);
  h.pcm_loop_filter_disabled = draw(random, 0, 1) == 1;
}

void change_hevc_header(bpg::HevcHeader& h, Random& random) {
  switch (draw(random, 0, 4)) {
    case 0:
      change_blocks(h, random);
      break;
    case 1:
      h.sao = !h.sao;
      break;
    case 2:
      change_pcm(h, random);
      break;
    case 3:
      h.strong_intra_smoothing = !h.strong_intra_smoothing;
      break;
    default:
      h.sps_extension = h.range_extension = true;
      h.range_flags = static_cast<std::uint16_t>(h.range_flags ^ 1U << draw(random, 0, 8));
  }
}

void change_format(bpg::Format& f, Random& random) {
  switch (draw(random, 0, 6)) {
    case 0:
      f.width = draw(random, 1, 200);
      break;
    case 1:
      f.height = draw(random, 1, 200);
      break;
    case 2:
      f.chroma = static_cast<bpg::Chroma>(draw(random, 0, 5));
      break;
    case 3:
      f.color_space = static_cast<bpg::ColorSpace>(draw(random, 0, 4));
      break;
    case 4:
      f.bit_depth = draw(random, 8, 14);
      break;
    case 5:
      f.limited_range = !f.limited_range;
      break;
    default:
      f.alpha = static_cast<bpg::Alpha>(draw(random, 0, 3));
  }
}

void change_extensions(bpg::FileHeader& header, Random& random) {
  if (!header.extensions.empty() && draw(random, 0, 1) == 0) {
    header.extensions.pop_back();
    return;
  }
  bpg::Extension extension;
  extension.tag = static_cast<std::uint32_t>(draw(random, 0, 6));
  extension.data.assign(static_cast<std::size_t>(draw(random, 0, 20)),
                        static_cast<std::uint8_t>(draw(random, 0, 255)));
  header.extensions.push_back(extension);
}

void change_header(bpg::ParsedFile& file, Random& random) {
  switch (draw(random, 0, 4)) {
    case 0:
      file.header.animation = !file.header.animation;
      break;
    case 1:
      change_extensions(file.header, random);
      break;
    case 2:
      change_hevc_header(draw(random, 0, 3) == 0 ? file.alpha : file.color, random);
      break;
    default:
      change_format(file.header.format, random);
  }
}

std::vector<std::uint8_t> written(const bpg::ParsedFile& file, bpg::ByteSpan hevc) {
  const bool has_alpha = file.header.format.alpha != bpg::Alpha::none;
  return bpg::write_file(file.header, has_alpha ? &file.alpha : nullptr, file.color, hevc);
}

std::vector<std::uint8_t> with_changed_pictures(const bpg::ParsedFile& file) {
  std::vector<std::uint8_t> hevc(file.hevc_data.data, file.hevc_data.data + file.hevc_data.size);
  hevc.resize(hevc.size() + kRoom);
  hevc.resize(LLVMFuzzerMutate(hevc.data(), file.hevc_data.size, hevc.size()));
  return written(file, {hevc.data(), hevc.size()});
}

std::size_t put(const std::vector<std::uint8_t>& file, std::uint8_t* out, std::size_t max_size) {
  if (file.empty() || file.size() > max_size) {
    return 0;
  }
  std::copy(file.begin(), file.end(), out);
  return file.size();
}

void append_nal(std::vector<std::uint8_t>& out, const bpg::Nal& nal) {
  if (!out.empty()) {
    out.insert(out.end(), {0, 0, 1});
  }
  out.insert(out.end(), nal.bytes.data, nal.bytes.data + nal.bytes.size);
}

// NAL units of both files in random turn, each file's own in order.
std::vector<std::uint8_t> shuffled(const std::vector<bpg::Nal>& a, const std::vector<bpg::Nal>& b,
                                   Random& random) {
  std::vector<std::uint8_t> out;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() || j < b.size()) {
    const bool from_a = j == b.size() || (i < a.size() && draw(random, 0, 1) == 0);
    append_nal(out, from_a ? a[i++] : b[j++]);
  }
  return out;
}

// Either the picture data inside a container whose lengths are right, or one field of the headers
// around unchanged picture data. Bytes that do not parse are changed blindly.
std::size_t mutate_file(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  Random random(seed);
  const int kind = draw(random, 0, 9);
  if (kind > 0) {
    try {
      bpg::ParsedFile file = bpg::parse_file({data, size});
      if (kind > 6) {
        change_header(file, random);
      }
      const std::size_t changed = put(
          kind > 6 ? written(file, file.hevc_data) : with_changed_pictures(file), data, max_size);
      if (changed > 0) {
        return changed;
      }
    } catch (const bpg::Error&) {
      // not a file that can be taken apart
    }
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

// Headers of one file and picture data of the other, or NAL units of the two in turn; 0 when the
// two do not fit.
std::size_t cross_files(const std::uint8_t* a, std::size_t a_size, const std::uint8_t* b,
                        std::size_t b_size, std::uint8_t* out, std::size_t max_size,
                        unsigned seed) {
  Random random(seed);
  try {
    const bpg::ParsedFile first = bpg::parse_file({a, a_size});
    const bpg::ParsedFile second = bpg::parse_file({b, b_size});
    if (draw(random, 0, 1) == 0) {
      return put(written(first, second.hevc_data), out, max_size);
    }
    const std::vector<std::uint8_t> hevc =
        shuffled(bpg::split_nals(first.hevc_data), bpg::split_nals(second.hevc_data), random);
    return put(written(first, {hevc.data(), hevc.size()}), out, max_size);
  } catch (const bpg::Error&) {
    return 0;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return mutate_file(data, size, max_size, seed);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* a, std::size_t a_size,
                                                 const std::uint8_t* b, std::size_t b_size,
                                                 std::uint8_t* out, std::size_t max_size,
                                                 unsigned seed) {
  return cross_files(a, a_size, b, b_size, out, max_size, seed);
}
