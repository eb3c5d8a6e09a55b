// half.hpp against the definition of binary16: all halves to float, and floats around every half
// and every midpoint between halves back.

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "check.hpp"
#include "half.hpp"

namespace {

/// The value of a finite half, from its fields.
double value_of(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_finite(unsigned half) { return (half & 0x7c00U) != 0x7c00U; }
bool is_nan(unsigned half) { return !is_finite(half) && (half & 1023U) != 0; }

void test_to_float() {
  bool same = true;
  for (unsigned h = 0; h < 65536; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float got = bpg::half_to_float(half);
    if (is_finite(h)) {
      same =
          same && got == static_cast<float>(value_of(half)) && std::signbit(got) == (h >= 0x8000U);
    } else if (is_nan(h)) {
      same = same && std::isnan(got);
    } else {
      same = same && std::isinf(got) && std::signbit(got) == (h >= 0x8000U);
    }
  }
  CHECK(same);
}

void test_there_and_back() {
  bool same = true;
  for (unsigned h = 0; h < 65536; ++h) {
    const std::uint16_t back =
        bpg::float_to_half(bpg::half_to_float(static_cast<std::uint16_t>(h)));
    same = same && (is_nan(h) ? is_nan(back) : back == h);
  }
  CHECK(same);
}

/// Between neighbours the nearer wins, and the even one at the midpoint.
void test_rounding() {
  bool same = true;
  for (unsigned h = 0; h < 0x7c00U; ++h) {
    const double low = value_of(static_cast<std::uint16_t>(h));
    const double high = h + 1 == 0x7c00U ? 65536.0 : value_of(static_cast<std::uint16_t>(h + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one more bit than a half
    const unsigned even = (h & 1U) == 0 ? h : h + 1;
    for (const unsigned sign : {0U, 0x8000U}) {
      const float s = sign == 0 ? 1.0F : -1.0F;
      same = same && bpg::float_to_half(s * middle) == (even | sign);
      same = same && bpg::float_to_half(s * std::nextafter(middle, 0.0F)) == (h | sign);
      same = same && bpg::float_to_half(s * std::nextafter(middle, 1e9F)) == ((h + 1) | sign);
    }
  }
  CHECK(same);
}

void test_extremes() {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(bpg::float_to_half(inf) == 0x7c00);
  CHECK(bpg::float_to_half(-inf) == 0xfc00);
  CHECK(bpg::float_to_half(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(is_nan(bpg::float_to_half(std::numeric_limits<float>::quiet_NaN())));
  CHECK(bpg::float_to_half(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(bpg::float_to_half(-0.0F) == 0x8000);
}

}  // namespace

int main() {
  test_to_float();
  test_there_and_back();
  test_rounding();
  test_extremes();
  return bpg_test::report();
}
