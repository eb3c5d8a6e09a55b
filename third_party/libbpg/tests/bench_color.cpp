// CPU milliseconds per megapixel of import_image and export_image, on one thread, for the layouts
// that matter: float32 planes (a tensor) and interleaved bytes (a decoded file). Not a test.
//
// usage: bench_color [width height runs]

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/picture.hpp"

namespace {

using bpg::Alpha;
using bpg::Chroma;
using bpg::ColorSpace;
using bpg::SampleType;

struct Size {
  int width;
  int height;
  int runs;
};

struct Layout {
  const char* name;
  SampleType type;
  int bytes;
  bool interleaved;
};

bpg::ImageView make_view(std::vector<std::byte>& memory, const Layout& layout, Size size,
                         int channels) {
  const std::ptrdiff_t bytes = layout.bytes;
  memory.resize(static_cast<std::size_t>(bytes) * static_cast<std::size_t>(channels) *
                static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height));
  bpg::ImageView view{memory.data(), layout.type, size.width, size.height, channels, 0, 0, 0};
  if (layout.interleaved) {
    view.stride_c = bytes;
    view.stride_x = bytes * channels;
    view.stride_y = view.stride_x * size.width;
  } else {
    view.stride_x = bytes;
    view.stride_y = bytes * size.width;
    view.stride_c = view.stride_y * size.height;
  }
  return view;
}

/// A photograph's worth of entropy: noise on a gradient, in [0, 1].
void fill(const bpg::ImageView& view) {
  std::minstd_rand random(1);
  for (int c = 0; c < view.channels; ++c) {
    for (int y = 0; y < view.height; ++y) {
      for (int x = 0; x < view.width; ++x) {
        std::byte* at = view.data + c * view.stride_c + y * view.stride_y + x * view.stride_x;
        const float value = 0.6F * static_cast<float>(x) / static_cast<float>(view.width) +
                            0.4F * static_cast<float>(random() % 1000U) / 1000.0F;
        if (view.type == SampleType::f32) {
          std::memcpy(at, &value, sizeof value);
        } else {
          *at = static_cast<std::byte>(value * 255.0F);
        }
      }
    }
  }
}

template <class Work>
double median_ms_per_megapixel(Size size, Work work) {
  std::vector<double> times;
  for (int i = 0; i < size.runs; ++i) {
    const std::clock_t start = std::clock();
    work();
    times.push_back(1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  std::nth_element(times.begin(), times.begin() + size.runs / 2, times.end());
  const double megapixels = 1e-6 * size.width * size.height;
  return times[static_cast<std::size_t>(size.runs / 2)] / megapixels;
}

void measure(const char* name, const bpg::Format& format, const Layout& layout, Size size) {
  std::vector<std::byte> memory;
  const int channels = format.alpha == Alpha::none ? 3 : 4;
  const bpg::ImageView view = make_view(memory, layout, size, channels);
  fill(view);
  const bpg::ConstImageView source{view.data,     view.type,     view.width,    view.height,
                                   view.channels, view.stride_c, view.stride_y, view.stride_x};
  bpg::Picture picture(format, 8);
  const double in =
      median_ms_per_megapixel(size, [&] { import_image(source, picture.mutable_view()); });
  const double out = median_ms_per_megapixel(size, [&] { export_image(picture.view(), view); });
  std::printf("%-28s %-10s %8.2f %8.2f\n", name, layout.name, in, out);
}

}  // namespace

int main(int argc, char** argv) {
  Size size{768, 512, 101};
  if (argc == 4) {
    size = {std::atoi(argv[1]), std::atoi(argv[2]), std::atoi(argv[3])};
  }
  if (size.width < 1 || size.height < 1 || size.runs < 1) {
    std::fprintf(stderr, "usage: bench_color [width height runs]\n");
    return 2;
  }
  const Layout layouts[] = {{"f32 CHW", SampleType::f32, 4, false},
                            {"u8 HWC", SampleType::u8, 1, true}};
  const auto format = [&](Chroma chroma, ColorSpace space, int bits, Alpha alpha) {
    return bpg::Format{size.width, size.height, chroma, space, bits, false, alpha};
  };
  const struct {
    const char* name;
    bpg::Format format;
  } cases[] = {
      {"4:2:0 BT.601 8 bit", format(Chroma::c420, ColorSpace::ycbcr_bt601, 8, Alpha::none)},
      {"4:2:0 BT.601 8 bit, alpha",
       format(Chroma::c420, ColorSpace::ycbcr_bt601, 8, Alpha::straight)},
      {"4:2:0 MPEG-2 BT.601 8 bit",
       format(Chroma::c420_mpeg2, ColorSpace::ycbcr_bt601, 8, Alpha::none)},
      {"4:2:2 BT.601 8 bit", format(Chroma::c422, ColorSpace::ycbcr_bt601, 8, Alpha::none)},
      {"4:4:4 BT.601 8 bit", format(Chroma::c444, ColorSpace::ycbcr_bt601, 8, Alpha::none)},
      {"4:4:4 RGB 8 bit", format(Chroma::c444, ColorSpace::rgb, 8, Alpha::none)},
      {"4:2:0 BT.709 10 bit", format(Chroma::c420, ColorSpace::ycbcr_bt709, 10, Alpha::none)},
  };
  std::printf("%dx%d, median of %d, one thread: CPU ms per megapixel\n", size.width, size.height,
              size.runs);
  std::printf("%-28s %-10s %8s %8s\n", "picture", "image", "import", "export");
  for (const auto& c : cases) {
    for (const Layout& layout : layouts) {
      measure(c.name, c.format, layout, size);
    }
  }
  return 0;
}
