#pragma once

// Row kernels are plain loops that the compiler vectorises. Where the platform can pick a function
// when the program is loaded, BPG_SIMD_CLONES compiles a kernel twice, for the baseline and for
// AVX2; elsewhere it is empty, and under GCC's thread sanitizer, which breaks the choice. The
// results are the same: kernels are integer arithmetic, or floating point whose every step is exact
// or rounded once by IEEE rules.
//
// A templated body goes into a BPG_ALWAYS_INLINE function that plain cloned functions call.

#include <cstddef>  // defines __GLIBC__ where there is a glibc

#if defined(__GNUC__) || defined(__clang__)
#define BPG_ALWAYS_INLINE inline __attribute__((always_inline))
#define BPG_RESTRICT __restrict__
#else
#define BPG_ALWAYS_INLINE inline
#define BPG_RESTRICT
#endif

#define BPG_SIMD_CLONES
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute) && \
    !defined(__SANITIZE_THREAD__)
#if __has_attribute(target_clones)
#undef BPG_SIMD_CLONES
#define BPG_SIMD_CLONES __attribute__((target_clones("avx2", "default")))
#endif
#endif
