#include "x265_cost_tables.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "x265_resources.hpp"

namespace bpg {
namespace {

std::mutex g_mutex;

}  // namespace

void lock_cost_tables() { g_mutex.lock(); }
void unlock_cost_tables() { g_mutex.unlock(); }

#ifdef BPG_X265_IS_WATCHED

namespace {

// More than x265 has QPs.
constexpr std::size_t kTables = 128;
using Filled = std::array<std::atomic<bool>, kTables>;
using SetQp = void(void* bit_cost, unsigned qp);

// x265's own lock is not free in a process that is forked meanwhile, and its other threads take a
// table for full as soon as there is memory for it.
void set_qp(Filled& filled, SetQp* real, void* bit_cost, unsigned qp) {
  if (qp >= kTables || filled[qp].load(std::memory_order_acquire)) {
    real(bit_cost, qp);
    return;
  }
  const std::lock_guard<std::mutex> lock(g_mutex);
  const std::uint64_t failed = failed_allocations();
  real(bit_cost, qp);
  if (failed_allocations() == failed) {
    filled[qp].store(true, std::memory_order_release);
  }
}

Filled g_filled_8;
Filled g_filled_10;
Filled g_filled_12;

}  // namespace

// x265::BitCost::setQP(unsigned) of each bit depth: the linker puts the first of a pair in its
// place and calls it the second. A library of x265 may have been built without one of the depths.
extern "C" [[gnu::weak]] SetQp __real__ZN4x2657BitCost5setQPEj;
extern "C" [[gnu::weak]] SetQp __real__ZN10x265_10bit7BitCost5setQPEj;
extern "C" [[gnu::weak]] SetQp __real__ZN10x265_12bit7BitCost5setQPEj;

extern "C" void __wrap__ZN4x2657BitCost5setQPEj(void* bit_cost, unsigned qp) {
  set_qp(g_filled_8, __real__ZN4x2657BitCost5setQPEj, bit_cost, qp);
}

extern "C" void __wrap__ZN10x265_10bit7BitCost5setQPEj(void* bit_cost, unsigned qp) {
  set_qp(g_filled_10, __real__ZN10x265_10bit7BitCost5setQPEj, bit_cost, qp);
}

extern "C" void __wrap__ZN10x265_12bit7BitCost5setQPEj(void* bit_cost, unsigned qp) {
  set_qp(g_filled_12, __real__ZN10x265_12bit7BitCost5setQPEj, bit_cost, qp);
}

#endif

}  // namespace bpg
