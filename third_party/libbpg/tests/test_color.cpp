// import_image and export_image against color_reference.hpp over random formats, sizes, sample
// types and memory layouts; and what the reference cannot say: floats, errors, padding.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "bpg/color.hpp"
#include "bpg/error.hpp"
#include "check.hpp"
#include "color_reference.hpp"
#include "half.hpp"

namespace {

using bpg::ConstImageView;
using bpg::ImageView;
using bpg::Picture;
using bpg::RangeReport;
using bpg::SampleType;
using bpg_test::Alpha;
using bpg_test::Chroma;
using bpg_test::ColorSpace;
using bpg_test::Format;
using bpg_test::Grid;
using bpg_test::Grids;

using Random = std::mt19937;

int pick(Random& random, int low, int high) {
  return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
}

template <class T>
T pick(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[random() % choices.size()];
}

bool is_float(SampleType type) { return type != SampleType::u8 && type != SampleType::u16; }

std::string name(const Format& f) {
  char text[120];
  std::snprintf(text, sizeof text, "%dx%d chroma %d space %d depth %d limited %d alpha %d", f.width,
                f.height, static_cast<int>(f.chroma), static_cast<int>(f.color_space), f.bit_depth,
                f.limited_range, static_cast<int>(f.alpha));
  return text;
}

// ---- Images in memory --------------------------------------------------------------------------

/// An image laid out in one of several ways, with guard bytes that nobody may touch.
struct Image {
  std::vector<std::byte> memory;
  ImageView view;

  [[nodiscard]] std::byte* at(int c, int y, int x) const {
    return view.data + c * view.stride_c + y * view.stride_y + x * view.stride_x;
  }
  [[nodiscard]] ConstImageView read() const {
    return {view.data,     view.type,     view.width,    view.height,
            view.channels, view.stride_c, view.stride_y, view.stride_x};
  }
};

enum class Layout { planar, interleaved, padded, transposed, flipped, misaligned };

Image make_image(SampleType type, int width, int height, int channels, Layout layout) {
  Image image;
  const auto size = static_cast<std::ptrdiff_t>(sample_size(type));
  image.view = {nullptr, type, width, height, channels, 0, 0, 0};
  ImageView& v = image.view;
  std::ptrdiff_t offset = 64;
  switch (layout) {
    case Layout::planar:
      v.stride_x = size, v.stride_y = size * width, v.stride_c = size * width * height;
      break;
    case Layout::misaligned:
      offset = 65;
      v.stride_x = size, v.stride_y = size * width + 1, v.stride_c = v.stride_y * height + 3;
      break;
    case Layout::padded:
      v.stride_x = size, v.stride_y = size * (width + 5), v.stride_c = v.stride_y * (height + 2);
      break;
    case Layout::interleaved:
      v.stride_c = size, v.stride_x = size * channels, v.stride_y = v.stride_x * width;
      break;
    case Layout::transposed:
      v.stride_c = size, v.stride_y = size * channels, v.stride_x = v.stride_y * height;
      break;
    case Layout::flipped:
      v.stride_x = -size, v.stride_y = -size * width, v.stride_c = -size * width * height;
      break;
  }
  const auto span = [](int n, std::ptrdiff_t stride) { return (n - 1) * stride; };
  const std::ptrdiff_t reach =
      span(width, v.stride_x) + span(height, v.stride_y) + span(channels, v.stride_c);
  image.memory.assign(static_cast<std::size_t>(std::abs(reach) + size + 160), std::byte{0x5a});
  v.data = image.memory.data() + offset + (reach < 0 ? -reach : 0);
  return image;
}

void store(std::byte* to, SampleType type, double value) {
  switch (type) {
    case SampleType::u8: {
      const auto v = static_cast<std::uint8_t>(value);
      std::memcpy(to, &v, sizeof v);
      return;
    }
    case SampleType::u16: {
      const auto v = static_cast<std::uint16_t>(value);
      std::memcpy(to, &v, sizeof v);
      return;
    }
    case SampleType::f16: {
      const std::uint16_t v = bpg::float_to_half(static_cast<float>(value));
      std::memcpy(to, &v, sizeof v);
      return;
    }
    case SampleType::f32: {
      const auto v = static_cast<float>(value);
      std::memcpy(to, &v, sizeof v);
      return;
    }
    case SampleType::f64:
      std::memcpy(to, &value, sizeof value);
  }
}

double load(const std::byte* from, SampleType type) {
  std::uint8_t u8 = 0;
  std::uint16_t u16 = 0;
  float f32 = 0;
  double f64 = 0;
  switch (type) {
    case SampleType::u8:
      std::memcpy(&u8, from, sizeof u8);
      return u8;
    case SampleType::u16:
      std::memcpy(&u16, from, sizeof u16);
      return u16;
    case SampleType::f16:
      std::memcpy(&u16, from, sizeof u16);
      return bpg::half_to_float(u16);
    case SampleType::f32:
      std::memcpy(&f32, from, sizeof f32);
      return f32;
    case SampleType::f64:
      break;
  }
  std::memcpy(&f64, from, sizeof f64);
  return f64;
}

/// The integer that a stored sample stands for. Volatile keeps the two roundings apart.
std::int64_t level_of(double stored, SampleType type, int levels) {
  if (!is_float(type)) {
    return static_cast<std::int64_t>(stored);
  }
  const double inside = std::isnan(stored) ? 0 : std::min(std::max(stored, 0.0), 1.0);
  if (type == SampleType::f64) {
    const volatile double scaled = inside * levels;
    return static_cast<std::int64_t>(std::floor(scaled + 0.5));
  }
  const volatile float scaled = static_cast<float>(inside) * static_cast<float>(levels);
  const volatile float raised = scaled + 0.5F;
  return static_cast<std::int64_t>(std::floor(raised));
}

int levels_of(SampleType type, int bit_depth) {
  return type == SampleType::u8 || (is_float(type) && bit_depth == 8) ? 255 : 65535;
}

/// Pixels of one of three tempers: noise, flat saturated patches, smooth.
double random_value(Random& random, int temper, int x, int y, int c) {
  switch (temper) {
    case 0:
      return static_cast<double>(random()) / static_cast<double>(Random::max());
    case 1:
      return ((x / 3 + y / 5 + c) % 3) % 2;
    default:
      return 0.5 + 0.5 * std::sin(0.2 * x + 0.13 * y * (c + 1));
  }
}

void fill(Image& image, Random& random) {
  const int temper = pick(random, 0, 2);
  const double scale =
      image.view.type == SampleType::u8 ? 255 : (image.view.type == SampleType::u16 ? 65535 : 1);
  for (int c = 0; c < image.view.channels; ++c) {
    for (int y = 0; y < image.view.height; ++y) {
      for (int x = 0; x < image.view.width; ++x) {
        store(image.at(c, y, x), image.view.type, random_value(random, temper, x, y, c) * scale);
      }
    }
  }
}

Grids levels_of_image(const ConstImageView& v, int levels) {
  Grids out;
  for (int c = 0; c < v.channels; ++c) {
    Grid grid(v.width, v.height);
    for (int y = 0; y < v.height; ++y) {
      for (int x = 0; x < v.width; ++x) {
        const std::byte* at = v.data + c * v.stride_c + y * v.stride_y + x * v.stride_x;
        grid.at(x, y) = level_of(load(at, v.type), v.type, levels);
      }
    }
    out[static_cast<std::size_t>(c)] = grid;
  }
  return out;
}

// ---- Planes ------------------------------------------------------------------------------------

std::int64_t sample(const bpg::PictureView& view, std::size_t plane, int x, int y) {
  const std::byte* row = view.planes[plane].data + y * view.planes[plane].stride;
  if (view.format.bit_depth == 8) {
    return std::to_integer<std::int64_t>(row[x]);
  }
  std::uint16_t value = 0;
  std::memcpy(&value, row + 2 * x, sizeof value);
  return value;
}

void set_sample(const bpg::MutablePictureView& view, std::size_t plane, int x, int y,
                std::int64_t value) {
  std::byte* row = view.planes[plane].data + y * view.planes[plane].stride;
  if (view.format.bit_depth == 8) {
    row[x] = static_cast<std::byte>(value);
    return;
  }
  const auto narrow = static_cast<std::uint16_t>(value);
  std::memcpy(row + 2 * x, &narrow, sizeof narrow);
}

int plane_width(const Format& f, std::size_t plane) {
  return bpg::subsampled(f.width, plane == 1 || plane == 2 ? bpg::chroma_shift_x(f.chroma) : 0);
}
int plane_height(const Format& f, std::size_t plane) {
  return bpg::subsampled(f.height, plane == 1 || plane == 2 ? bpg::chroma_shift_y(f.chroma) : 0);
}

void fill_planes(Picture& picture, Random& random) {
  const Format& f = picture.format();
  const auto view = picture.mutable_view();
  const int temper = pick(random, 0, 2);
  for (std::size_t p = 0; p < 4; ++p) {
    for (int y = 0; view.planes[p].data != nullptr && y < plane_height(f, p); ++y) {
      for (int x = 0; x < plane_width(f, p); ++x) {
        const double value = random_value(random, temper, x, y, static_cast<int>(p));
        set_sample(view, p, x, y, std::lrint(value * ((1 << f.bit_depth) - 1)));
      }
    }
  }
}

Grids planes_of(const Picture& picture) {
  Grids out;
  const auto view = picture.view();
  const Format& f = picture.format();
  for (std::size_t p = 0; p < 4; ++p) {
    if (view.planes[p].data == nullptr) {
      continue;
    }
    out[p] = Grid(plane_width(f, p), plane_height(f, p));
    for (int y = 0; y < out[p].height; ++y) {
      for (int x = 0; x < out[p].width; ++x) {
        out[p].at(x, y) = sample(view, p, x, y);
      }
    }
  }
  return out;
}

Format random_format(Random& random, bool for_import) {
  Format f;
  f.width = pick(random, 1, 70);
  f.height = pick(random, 1, 70);
  f.chroma = static_cast<Chroma>(pick(random, 0, 5));
  f.color_space = static_cast<ColorSpace>(pick(random, 0, 4));
  f.bit_depth = pick(random, 0, 1) == 0 ? 8 : pick(random, 8, 14);
  f.limited_range = pick(random, 0, 1) == 1;
  f.alpha = static_cast<Alpha>(pick(random, 0, for_import ? 2 : 3));
  return f;
}

constexpr std::initializer_list<SampleType> kTypes = {
    SampleType::u8, SampleType::u16, SampleType::f16, SampleType::f32, SampleType::f64};
constexpr std::initializer_list<Layout> kLayouts = {Layout::planar,  Layout::interleaved,
                                                    Layout::padded,  Layout::transposed,
                                                    Layout::flipped, Layout::misaligned};

// ---- Import ------------------------------------------------------------------------------------

void expect_planes(const Picture& picture, const Grids& expected, const std::string& what) {
  const Grids got = planes_of(picture);
  for (std::size_t p = 0; p < 4; ++p) {
    const bool same = got[p].width == expected[p].width && got[p].samples == expected[p].samples;
    CHECK(same);
    if (!same) {
      std::printf("  plane %zu of %s\n", p, what.c_str());
    }
  }
}

void import_once(Random& random) {
  const Format f = random_format(random, true);
  const SampleType type = pick(random, kTypes);
  const int channels = pick(random, {1, 3, 3, 4});
  Image image = make_image(type, f.width, f.height, channels, pick(random, kLayouts));
  fill(image, random);
  ConstImageView view = image.read();
  if (pick(random, 0, 9) == 0) {  // broadcast
    pick(random, {&view.stride_c, &view.stride_y, &view.stride_x})[0] = 0;
  }
  const int levels = levels_of(type, f.bit_depth);
  Picture picture(f, pick(random, {1, 8, 64}));
  const RangeReport report = import_image(view, picture.mutable_view());
  CHECK(!report.outside && !report.nan);
  expect_planes(picture, import_reference(levels_of_image(view, levels), channels, levels, f),
                "import " + name(f) + " type " + std::to_string(static_cast<int>(type)) +
                    " channels " + std::to_string(channels));
}

/// Every triple of 8-bit levels on a coarse grid, and every pair of two channels, at 4:4:4.
void import_dense(ColorSpace space, bool limited) {
  Format f;
  f.width = 256;
  f.height = 256;
  f.chroma = Chroma::c444;
  f.color_space = space;
  f.limited_range = limited;
  Image image = make_image(SampleType::u8, f.width, f.height, 3, Layout::planar);
  for (int third = 0; third < 256; third += 51) {
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 256; ++y) {
        for (int x = 0; x < 256; ++x) {
          store(image.at(c, y, x), SampleType::u8, c == 0 ? x : (c == 1 ? y : third));
        }
      }
    }
    Picture picture(f, 1);
    import_image(image.read(), picture.mutable_view());
    expect_planes(picture, import_reference(levels_of_image(image.read(), 255), 3, 255, f),
                  "dense " + name(f));
  }
}

void test_import(Random& random) {
  for (int i = 0; i < 1500; ++i) {
    import_once(random);
  }
  for (const auto space : {ColorSpace::ycbcr_bt601, ColorSpace::ycbcr_bt709,
                           ColorSpace::ycbcr_bt2020, ColorSpace::ycgco, ColorSpace::rgb}) {
    import_dense(space, false);
    import_dense(space, true);
  }
}

// ---- Export ------------------------------------------------------------------------------------

/// The half nearest to v / levels: the one below or above the quotient as a float.
double nearest_half(std::int64_t v, int levels) {
  const std::uint16_t close =
      bpg::float_to_half(static_cast<float>(v) / static_cast<float>(levels));
  double best = bpg::half_to_float(close);
  for (const int step : {-1, 1}) {
    const double other = bpg::half_to_float(static_cast<std::uint16_t>(std::max(close + step, 0)));
    // Products of 11 and 16 bits: exact.
    if (std::fabs(other * levels - static_cast<double>(v)) <
        std::fabs(best * levels - static_cast<double>(v))) {
      best = other;
    }
  }
  return best;
}

/// v / levels rounded to the type. Rounding to double first does no harm to a float: no quotient of
/// 16-bit integers is that near to a tie.
double expected_float(std::int64_t v, int levels, SampleType type) {
  const double quotient = static_cast<double>(v) / levels;
  switch (type) {
    case SampleType::f16:
      return nearest_half(v, levels);
    case SampleType::f32:
      return static_cast<float>(quotient);
    default:
      return quotient;
  }
}

void expect_image(const Image& image, const Grids& expected, int levels, const std::string& what) {
  const ImageView& v = image.view;
  bool same = true;
  for (int c = 0; c < v.channels; ++c) {
    for (int y = 0; y < v.height; ++y) {
      for (int x = 0; x < v.width; ++x) {
        const std::int64_t level = expected[static_cast<std::size_t>(c)].near(x, y);
        const double want =
            is_float(v.type) ? expected_float(level, levels, v.type) : static_cast<double>(level);
        same = same && load(image.at(c, y, x), v.type) == want;
      }
    }
  }
  CHECK(same);
  if (!same) {
    std::printf("  %s\n", what.c_str());
  }
}

void export_once(Random& random) {
  const Format f = random_format(random, false);
  const SampleType type = pick(random, kTypes);
  const int channels = f.chroma == Chroma::gray ? pick(random, {1, 3, 4}) : pick(random, {3, 4});
  Picture picture(f, pick(random, {1, 8, 64}));
  fill_planes(picture, random);
  Image image = make_image(type, f.width, f.height, channels, pick(random, kLayouts));
  export_image(picture.view(), image.view);
  const int levels = levels_of(type, f.bit_depth);
  const Grids expected =
      export_reference(planes_of(picture), f, levels == 255 ? 8 : 16, channels == 4);
  expect_image(image, expected, levels,
               "export " + name(f) + " type " + std::to_string(static_cast<int>(type)) +
                   " channels " + std::to_string(channels));
}

/// Every pair of chroma samples against a few luma samples.
void export_dense(ColorSpace space, bool limited) {
  Format f;
  f.width = 256;
  f.height = 256;
  f.chroma = Chroma::c444;
  f.color_space = space;
  f.limited_range = limited;
  Picture picture(f, 1);
  const auto view = picture.mutable_view();
  for (int luma = 0; luma < 256; luma += 51) {
    for (int y = 0; y < 256; ++y) {
      for (int x = 0; x < 256; ++x) {
        set_sample(view, 0, x, y, luma);
        set_sample(view, 1, x, y, x);
        set_sample(view, 2, x, y, y);
      }
    }
    for (const SampleType type : {SampleType::u8, SampleType::u16}) {
      Image image = make_image(type, 256, 256, 3, Layout::planar);
      export_image(picture.view(), image.view);
      const int levels = levels_of(type, 8);
      expect_image(image, export_reference(planes_of(picture), f, levels == 255 ? 8 : 16, false),
                   levels, "dense " + name(f));
    }
  }
}

/// Export writes samples and no byte between or around them.
void test_guards() {
  Format f;
  f.width = 13;
  f.height = 7;
  Picture picture(f, 8);
  Random random(5);
  fill_planes(picture, random);
  for (const Layout layout : kLayouts) {
    for (const SampleType type : kTypes) {
      Image image = make_image(type, f.width, f.height, 3, layout);
      export_image(picture.view(), image.view);
      for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < f.height; ++y) {
          for (int x = 0; x < f.width; ++x) {
            std::fill_n(image.at(c, y, x), sample_size(type), std::byte{0x5a});
          }
        }
      }
      CHECK(std::all_of(image.memory.begin(), image.memory.end(),
                        [](std::byte b) { return b == std::byte{0x5a}; }));
    }
  }
}

void test_export(Random& random) {
  for (int i = 0; i < 1500; ++i) {
    export_once(random);
  }
  for (const auto space : {ColorSpace::ycbcr_bt601, ColorSpace::ycbcr_bt709,
                           ColorSpace::ycbcr_bt2020, ColorSpace::ycgco, ColorSpace::rgb}) {
    export_dense(space, false);
    export_dense(space, true);
  }
}

// ---- Floats ------------------------------------------------------------------------------------

/// Every level of 8 bits, and every 16-bit level that a picture can have, as each type.
void test_float_output() {
  for (int bit_depth = 8; bit_depth <= 14; ++bit_depth) {
    Format f;
    f.width = 1 << bit_depth;
    f.height = 1;
    f.chroma = Chroma::gray;
    f.bit_depth = bit_depth;
    const int levels = levels_of(SampleType::f32, bit_depth);
    Picture picture(f, 1);
    for (int x = 0; x < f.width; ++x) {
      set_sample(picture.mutable_view(), 0, x, 0, x);
    }
    const Grids expected = export_reference(planes_of(picture), f, levels == 255 ? 8 : 16, false);
    for (const SampleType type : kTypes) {
      if (is_float(type)) {
        Image image = make_image(type, f.width, 1, 1, Layout::planar);
        export_image(picture.view(), image.view);
        expect_image(image, expected, levels, "every level of " + name(f));
        CHECK(load(image.at(0, 0, 0), type) == 0);
        CHECK(load(image.at(0, 0, f.width - 1), type) == 1);
      }
    }
  }
}

RangeReport import_values(const std::vector<double>& values, SampleType type, int bit_depth,
                          std::vector<std::int64_t>& out) {
  Format f;
  f.width = static_cast<int>(values.size());
  f.height = 1;
  f.chroma = Chroma::gray;
  f.bit_depth = bit_depth;
  Image image = make_image(type, f.width, 1, 1, Layout::planar);
  for (int x = 0; x < f.width; ++x) {
    store(image.at(0, 0, x), type, values[static_cast<std::size_t>(x)]);
  }
  Picture picture(f, 1);
  const RangeReport report = import_image(image.read(), picture.mutable_view());
  out = planes_of(picture)[0].samples;
  return report;
}

void test_range_report() {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    std::vector<double> values;
    bool outside;
    bool nan;
    std::vector<std::int64_t> samples;
  };
  const std::vector<Case> cases = {
      {{0.0, -0.0, 1.0, 0.5}, false, false, {0, 0, 255, 128}},
      {{-1e-4, 0.2, 0.4}, true, false, {0, 51, 102}},
      {{0.2, 1.001}, true, false, {51, 255}},
      {{inf, -inf, 0.6}, true, false, {255, 0, 153}},
      {{nan, 0.8, -nan}, false, true, {0, 204, 0}},
      {{nan, 2.0, 1e4, -1e4}, true, true, {0, 255, 255, 0}},
  };
  for (const SampleType type : {SampleType::f16, SampleType::f32, SampleType::f64}) {
    for (const Case& c : cases) {
      std::vector<double> values = c.values;
      std::vector<std::int64_t> expected = c.samples;
      while (values.size() < 40) {  // past a vector's width
        values.insert(values.begin(), 0.0);
        expected.insert(expected.begin(), 0);
      }
      std::vector<std::int64_t> got;
      const RangeReport report = import_values(values, type, 8, got);
      CHECK(report.outside == c.outside);
      CHECK(report.nan == c.nan);
      CHECK(got == expected);
    }
  }
}

/// Floats next to every rounding boundary, against two separate roundings.
void test_quantisation_boundaries() {
  for (const int bit_depth : {8, 14}) {
    const int levels = bit_depth == 8 ? 255 : 65535;
    for (const SampleType type : {SampleType::f32, SampleType::f64}) {
      std::vector<double> values;
      for (int v = 0; v < levels; v += bit_depth == 8 ? 1 : 37) {
        const double boundary = (v + 0.5) / levels;
        auto near = static_cast<float>(boundary);
        for (int i = 0; i < 3; ++i) {
          near = std::nextafter(near, -1.0F);
        }
        for (int i = 0; i < 7; ++i, near = std::nextafter(near, 2.0F)) {
          values.push_back(near);
        }
        values.push_back(boundary);
        values.push_back(std::nextafter(boundary, 0.0));
      }
      std::vector<std::int64_t> got;
      import_values(values, type, bit_depth, got);
      bool same = true;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double stored = type == SampleType::f32 ? static_cast<float>(values[i]) : values[i];
        const std::int64_t level = level_of(stored, type, levels);
        Grids one;
        one[0] = Grid(1, 1);
        one[0].at(0, 0) = level;
        Format f;
        f.width = f.height = 1;
        f.chroma = Chroma::gray;
        f.bit_depth = bit_depth;
        same = same && import_reference(one, 1, levels, f)[0].at(0, 0) == got[i];
      }
      CHECK(same);
    }
  }
}

// ---- Pictures and errors -----------------------------------------------------------------------

void test_extend_edges(Random& random) {
  for (int i = 0; i < 60; ++i) {
    Format f = random_format(random, false);
    const int alignment = pick(random, {1, 8, 16, 64});
    Picture picture(f, alignment);
    CHECK(picture.padded_width() % alignment == 0 && picture.padded_width() - f.width < alignment);
    CHECK(picture.padded_height() % alignment == 0 &&
          picture.padded_height() - f.height < alignment);
    fill_planes(picture, random);
    const Grids before = planes_of(picture);
    picture.extend_edges();
    Format all = f;
    all.width = picture.padded_width();
    all.height = picture.padded_height();
    bool same = true;
    const auto view = picture.view();
    for (std::size_t p = 0; p < 4; ++p) {
      for (int y = 0; view.planes[p].data != nullptr && y < plane_height(all, p); ++y) {
        for (int x = 0; x < plane_width(all, p); ++x) {
          same = same && sample(view, p, x, y) == before[p].near(x, y);
        }
      }
    }
    CHECK(same);
    CHECK((view.planes[1].data == nullptr) == (f.chroma == Chroma::gray));
    CHECK((view.planes[3].data == nullptr) == (f.alpha == Alpha::none));
  }
}

/// Import writes the width x height area of a plane and nothing else.
void test_import_leaves_padding() {
  Format f;
  f.width = 9;
  f.height = 5;
  Picture picture(f, 16);
  const auto view = picture.mutable_view();
  Format all = f;
  all.width = picture.padded_width();
  all.height = picture.padded_height();
  for (std::size_t p = 0; p < 3; ++p) {
    for (int y = 0; y < plane_height(all, p); ++y) {
      for (int x = 0; x < plane_width(all, p); ++x) {
        set_sample(view, p, x, y, 77);
      }
    }
  }
  Image image = make_image(SampleType::f32, 9, 5, 3, Layout::planar);
  Random random(3);
  fill(image, random);
  import_image(image.read(), view);
  bool same = true;
  for (std::size_t p = 0; p < 3; ++p) {
    for (int y = 0; y < plane_height(all, p); ++y) {
      for (int x = 0; x < plane_width(all, p); ++x) {
        const bool inside = x < plane_width(f, p) && y < plane_height(f, p);
        same = same && (inside || sample(picture.view(), p, x, y) == 77);
      }
    }
  }
  CHECK(same);
}

void test_errors() {
  Format f;
  f.width = 4;
  f.height = 4;
  Picture picture(f, 8);
  const Image other = make_image(SampleType::u8, 5, 4, 3, Layout::planar);
  const Image two = make_image(SampleType::u8, 4, 4, 2, Layout::planar);
  const Image one = make_image(SampleType::u8, 4, 4, 1, Layout::planar);
  const Image rgb = make_image(SampleType::u8, 4, 4, 3, Layout::planar);
  CHECK_THROWS(import_image(other.read(), picture.mutable_view()), bpg::EncodeError);
  CHECK_THROWS(import_image(two.read(), picture.mutable_view()), bpg::EncodeError);
  CHECK_THROWS(export_image(picture.view(), other.view), bpg::DecodeError);
  CHECK_THROWS(export_image(picture.view(), two.view), bpg::DecodeError);
  CHECK_THROWS(export_image(picture.view(), one.view), bpg::DecodeError);
  Format cmyk = f;
  cmyk.alpha = Alpha::w_plane;
  Picture with_w(cmyk, 8);
  CHECK_THROWS(import_image(rgb.read(), with_w.mutable_view()), bpg::EncodeError);
  const auto make = [&f](int width, int bit_depth, int alignment) {
    Format bad = f;
    bad.width = width;
    bad.bit_depth = bit_depth;
    return Picture(bad, alignment);
  };
  CHECK_THROWS(make(0, 8, 8), bpg::Error);
  CHECK_THROWS(make(-3, 8, 8), bpg::Error);
  CHECK_THROWS(make(4, 7, 8), bpg::Error);
  CHECK_THROWS(make(4, 15, 8), bpg::Error);
  CHECK_THROWS(make(4, 8, 0), bpg::Error);
  CHECK_THROWS(make(std::numeric_limits<int>::max(), 8, 64), bpg::Error);
}

}  // namespace

int main() {
  Random random(20240607);
  test_import(random);
  test_export(random);
  test_guards();
  test_float_output();
  test_range_report();
  test_quantisation_boundaries();
  test_extend_edges(random);
  test_import_leaves_padding();
  test_errors();
  return bpg_test::report();
}
