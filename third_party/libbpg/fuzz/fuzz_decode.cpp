// Whole files: refused with DecodeError or UnsupportedError, or decoded to the size that they
// claim.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/decoder.hpp"
#include "bpg/error.hpp"
#include "require.hpp"

namespace {

constexpr bpg::DecodeLimits kLimits{1U << 18};

// Exports to a type and channel count that the file's last byte chooses.
void export_picture(const bpg::PictureView& picture, unsigned choice) {
  const auto type = static_cast<bpg::SampleType>(choice % 5);
  const std::ptrdiff_t bytes[] = {1, 2, 2, 4, 8};
  const std::ptrdiff_t sample = bytes[choice % 5];
  const bool gray = picture.format.chroma == bpg::Chroma::gray;
  const int channels = gray && choice / 5 % 2 == 0 ? 1 : 3 + static_cast<int>(choice / 10 % 2);
  const std::ptrdiff_t row = picture.format.width * sample * channels;
  std::vector<std::byte> out(static_cast<std::size_t>(row * picture.format.height));
  bpg::export_image(picture, {out.data(), type, picture.format.width, picture.format.height,
                              channels, sample, row, sample * channels});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bpg::ByteSpan file{data, size};
  const unsigned choice = size > 0 ? data[size - 1] : 0;
  std::size_t frames = 0;
  try {
    bpg::decode(file, kLimits, [&](const bpg::PictureView& picture, std::size_t index) {
      FUZZ_REQUIRE(index == frames++);
      export_picture(picture, choice);
    });
  } catch (const bpg::DecodeError&) {
    return 0;
  } catch (const bpg::UnsupportedError&) {
    return 0;
  }
  FUZZ_REQUIRE(frames == bpg::probe(file).ticks.size());
  return 0;
}
