#include "cpu.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace bpg {

#if defined(__x86_64__) || defined(__i386__)

bool splits_256_bit() {
  constexpr unsigned kAmd = 0x68747541;  // "Auth" of AuthenticAMD
  constexpr unsigned kZenFamily = 0x17;
  constexpr unsigned kFirstZen2Model = 0x30;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) == 0 || ebx != kAmd ||
      __get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) {
    return false;
  }
  const unsigned family = (eax >> 8 & 0xF) + (eax >> 20 & 0xFF);
  const unsigned model = (eax >> 4 & 0xF) | (eax >> 12 & 0xF0);
  return family == kZenFamily && model < kFirstZen2Model;
}

#else

bool splits_256_bit() { return false; }

#endif

}  // namespace bpg
