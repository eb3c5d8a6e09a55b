// What the pool and its jobs do where operator new has nothing to give.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bpg/error.hpp"
#include "check.hpp"
#include "failure.hpp"
#include "pool.hpp"

namespace {

// What this thread may still allocate, and whether all others may.
thread_local int t_left = 1 << 30;
std::atomic<bool> g_others_may{true};
thread_local bool t_is_main = false;

bool may_allocate() { return t_is_main ? t_left-- > 0 : g_others_may.load(); }

class WithAllocations {
 public:
  explicit WithAllocations(int count) { t_left = count; }
  ~WithAllocations() { t_left = 1 << 30; }
  WithAllocations(const WithAllocations&) = delete;
  WithAllocations& operator=(const WithAllocations&) = delete;
};

class Counted final : public npp::Job {
 public:
  Counted(std::size_t items, std::atomic<bool>& go, std::uint64_t sequence = 0)
      : Job(std::vector<double>(items, 1.0), 1, sequence), go_(&go) {}
  std::atomic<std::size_t> done{0};

 protected:
  void run(std::size_t /*item*/) noexcept override {
    while (!*go_) {
      std::this_thread::yield();
    }
    ++done;
  }

 private:
  std::atomic<bool>* go_;
};

// A job whose caller got an exception is gone: what its items work on goes away with the caller.
void submitting_takes_a_job_or_leaves_it(std::uint64_t sequence) {
  constexpr std::size_t kItems = 3;
  std::atomic<bool> go{true};
  int refused = 0;
  int taken = 0;
  for (int allocations = 0; allocations < 12; ++allocations) {
    npp::Pool& pool = npp::Pool::instance();
    pool.shut_down();
    const auto job = std::make_shared<Counted>(kItems, go, sequence);
    bool thrown = false;
    try {
      const WithAllocations few(allocations);
      pool.submit(job, 2);
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    if (thrown) {
      ++refused;
      CHECK(job.use_count() == 1 && job->done == 0);
    } else {
      ++taken;
      pool.help(job, std::chrono::minutes(1));
      job->wait();
      CHECK(job->done == kItems);
    }
  }
  CHECK(refused > 0 && taken > 0);
}

void workers_ask_for_no_memory(std::uint64_t sequence) {
  constexpr std::size_t kItems = 200;
  std::atomic<bool> go{false};
  npp::Pool& pool = npp::Pool::instance();
  pool.shut_down();
  std::vector<std::shared_ptr<Counted>> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.push_back(std::make_shared<Counted>(kItems, go, sequence));
    pool.submit(jobs.back(), 2);
  }
  while (pool.thread_count() == 0) {
    std::this_thread::yield();
  }
  g_others_may = false;
  go = true;
  for (const auto& job : jobs) {
    job->wait();
    CHECK(job->done == kItems);
  }
  g_others_may = true;
}

void a_message_without_room_is_lack_of_memory() {
  const std::string message(1000, 'm');
  try {
    throw bpg::DecodeError(message);
  } catch (...) {
    const npp::Failure usual = npp::Failure::current();
    CHECK(usual.kind == npp::Failure::Kind::decode && usual.message == message);
    const WithAllocations none(0);
    CHECK(npp::Failure::current().kind == npp::Failure::Kind::memory);
  }
}

}  // namespace

// Not inlined: the compiler would take malloc and free for a mismatched pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* memory = may_allocate() ? std::malloc(size != 0 ? size : 1) : nullptr;
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return may_allocate() ? std::malloc(size != 0 ? size : 1) : nullptr;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}

int main() {
  t_is_main = true;
  for (const std::uint64_t sequence : {0, 7}) {
    submitting_takes_a_job_or_leaves_it(sequence);
    workers_ask_for_no_memory(sequence);
  }
  a_message_without_room_is_lack_of_memory();
  return bpg_test::report();
}
