// Pool, encoder cache and codec under many threads at once. `make tsan` runs it under
// ThreadSanitizer.
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "bpg/decoder.hpp"
#include "bpg/encoder.hpp"
#include "check.hpp"
#include "encoder_cache.hpp"
#include "pool.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr bpg::DecodeLimits kLimits{1U << 20};

Bytes samples(int width, int height, unsigned seed) {
  Bytes bytes(static_cast<std::size_t>(width * height * 3));
  for (std::uint8_t& byte : bytes) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(seed >> 24);
  }
  return bytes;
}

npp::EncoderKey key_of(std::size_t item) {
  npp::EncoderKey key;
  key.width = 16 + static_cast<int>(item % 3) * 24;
  key.height = 16 + static_cast<int>(item % 2) * 17;
  key.options.effort = static_cast<int>(item % 2) * 4;
  key.options.bit_depth = item % 5 == 0 ? 10 : 8;
  key.options.qp_maps = item % 4 == 1;  // beside pictures without a map, else alike
  return key;
}

// Encodes picture `item` with an encoder of the cache and decodes it; the file.
Bytes round_trip(std::size_t item) {
  const npp::EncoderKey key = key_of(item);
  const Bytes picture = samples(key.width, key.height, static_cast<unsigned>(item));
  npp::EncoderCache& cache = npp::EncoderCache::instance();
  std::unique_ptr<bpg::Encoder> encoder = cache.acquire(key);
  const bpg::ConstImageView view{reinterpret_cast<const std::byte*>(picture.data()),
                                 bpg::SampleType::u8,
                                 key.width,
                                 key.height,
                                 3,
                                 1,
                                 static_cast<std::ptrdiff_t>(key.width) * 3,
                                 3};
  const int across = bpg::qp_map_size(key.width);
  const int down = bpg::qp_map_size(key.height);
  std::vector<float> offsets(static_cast<std::size_t>(across * down));
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    offsets[i] = static_cast<float>((i + item) % 7) - 3;
  }
  std::optional<bpg::QpMapView> qp_map;
  if (key.options.qp_maps) {
    qp_map = {offsets.data(), across, down};
  }
  Bytes file = encoder->encode(view, {30, 30}, {}, qp_map).file;
  cache.release(key, std::move(encoder));
  bpg::decode({file.data(), file.size()}, kLimits, [](const bpg::PictureView&, std::size_t) {});
  return file;
}

class RoundTrips : public npp::Job {
 public:
  RoundTrips(std::size_t count, int max_threads)
      : Job(std::vector<double>(count, 1.0), max_threads), files(count) {}

  std::vector<Bytes> files;
  std::atomic<int> done{0};

 protected:
  void run(std::size_t item) noexcept override {
    files[item] = round_trip(item);
    ++done;
  }
};

std::vector<Bytes> expected_files(std::size_t count) {
  std::vector<Bytes> files;
  for (std::size_t i = 0; i < count; ++i) {
    files.push_back(round_trip(i));
  }
  return files;
}

void jobs_of_many_callers_do_not_mix() {
  static constexpr std::size_t kItems = 12;
  const std::vector<Bytes> expected = expected_files(kItems);
  std::vector<std::thread> callers;
  std::atomic<int> same{0};
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&expected, &same, caller] {
      const auto job = std::make_shared<RoundTrips>(kItems, 1 + caller % 4);
      npp::Pool::instance().submit(job, 4);
      job->wait();
      same += job->files == expected ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  CHECK(same == 8);
}

// Parts of a batch: each is done before the next, though all were there at once, and another
// caller's job has its turn beside them.
void jobs_of_a_sequence_follow_each_other() {
  class Noted final : public npp::Job {
   public:
    Noted(std::vector<int>& order, std::mutex& mutex, int name, std::uint64_t sequence)
        : Job(std::vector<double>(6, 1.0), 1, sequence),
          order_(&order),
          mutex_(&mutex),
          name_(name) {}

   protected:
    void run(std::size_t) noexcept override {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const std::lock_guard<std::mutex> lock(*mutex_);
      order_->push_back(name_);
    }

   private:
    std::vector<int>* order_;
    std::mutex* mutex_;
    int name_;
  };
  npp::Pool::instance().shut_down();  // without the threads of other tests
  std::vector<int> order;
  std::mutex mutex;
  std::vector<std::shared_ptr<Noted>> jobs;
  for (int name = 1; name <= 4; ++name) {
    jobs.push_back(std::make_shared<Noted>(order, mutex, name, name == 4 ? 0 : 7));
    npp::Pool::instance().submit(jobs.back(), 1);  // one thread, so that the order is exact
  }
  for (const std::shared_ptr<Noted>& job : jobs) {
    job->wait();
  }
  std::vector<int> sequence = order;
  sequence.erase(std::remove(sequence.begin(), sequence.end(), 4), sequence.end());
  CHECK(std::is_sorted(sequence.begin(), sequence.end()));
  const auto first_of_other = std::find(order.begin(), order.end(), 4) - order.begin();
  CHECK(order.size() == 24 && first_of_other < 12);
}

// Waits in its one item until so many others are in theirs; gives up after a while.
class Meeting final : public npp::Job {
 public:
  Meeting(std::atomic<int>& there, int wanted, std::uint64_t sequence,
          std::chrono::milliseconds patience)
      : Job({1.0}, 1, sequence), there_(&there), wanted_(wanted), patience_(patience) {}
  std::atomic<bool> met{false};

 protected:
  void run(std::size_t) noexcept override {
    const auto end = std::chrono::steady_clock::now() + patience_;
    ++*there_;
    while (*there_ < wanted_ && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    met = *there_ >= wanted_;
    if (!met) {
      --*there_;
    }
  }

 private:
  std::atomic<int>* there_;
  int wanted_;
  std::chrono::milliseconds patience_;
};

// Ctrl-C leaves what is being worked on to itself, on all threads that there are: what comes after
// does not wait for it.
void what_is_abandoned_holds_up_nobody() {
  npp::Pool& pool = npp::Pool::instance();
  pool.shut_down();
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::atomic<int> there{0};
  std::vector<std::shared_ptr<Meeting>> abandoned;
  for (int i = 0; i < cores; ++i) {
    // They are through when one more is there: the job that comes after them.
    abandoned.push_back(
        std::make_shared<Meeting>(there, cores + 1, i % 2 * 5, std::chrono::minutes(1)));
    pool.submit(abandoned.back(), 1);
  }
  while (there < (cores + 1) / 2) {  // of a sequence only one is at work
    std::this_thread::yield();
  }
  for (const std::shared_ptr<Meeting>& job : abandoned) {
    pool.abandon(job);
    pool.abandon(job);  // nothing happens twice
  }
  const int left = there;
  std::atomic<int> later{left};
  const auto next = std::make_shared<Meeting>(later, left + 1, 5, std::chrono::minutes(1));
  pool.submit(next, 1);
  next->wait();
  CHECK(next->met);
  there = cores + 1;
  for (const std::shared_ptr<Meeting>& job : abandoned) {
    job->wait();
  }
  // All count again: as many as there are cores work together, and no more.
  std::atomic<int> together{0};
  std::vector<std::shared_ptr<Meeting>> jobs;
  for (int i = 0; i <= cores; ++i) {
    jobs.push_back(
        std::make_shared<Meeting>(together, cores + 1, 0, std::chrono::milliseconds(50)));
    pool.submit(jobs.back(), 1);
  }
  for (const std::shared_ptr<Meeting>& job : jobs) {
    job->wait();
  }
  CHECK(std::none_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->met.load(); }));
}

// Callers that ask for one thread each are at work together, as far as there are cores; what stands
// in one sequence is not.
void callers_with_a_thread_each_work_together() {
  npp::Pool& pool = npp::Pool::instance();
  pool.shut_down();
  if (std::thread::hardware_concurrency() < 2) {
    return;
  }
  for (const bool in_sequence : {false, true}) {
    std::atomic<int> there{0};
    const std::chrono::milliseconds patience{in_sequence ? 50 : 60'000};
    std::vector<std::shared_ptr<Meeting>> jobs;
    for (int i = 0; i < 2; ++i) {
      jobs.push_back(std::make_shared<Meeting>(there, 2, in_sequence ? 9 : 0, patience));
      pool.submit(jobs.back(), 1);
    }
    for (const std::shared_ptr<Meeting>& job : jobs) {
      job->wait();
      CHECK(job->met != in_sequence);
    }
  }
}

// Callers that help are part of the pool's number of threads, and take what no worker has.
void helping_callers_and_workers_share_the_work() {
  static constexpr std::size_t kItems = 12;
  static constexpr int kThreads = 2;
  class Counted final : public RoundTrips {
   public:
    Counted(std::atomic<int>& at_once, std::atomic<int>& most)
        : RoundTrips(kItems, kThreads), at_once_(&at_once), most_(&most) {}

   protected:
    void run(std::size_t item) noexcept override {
      const int now = ++*at_once_;
      for (int most = *most_; now > most && !most_->compare_exchange_weak(most, now);) {
      }
      RoundTrips::run(item);
      --*at_once_;
    }

   private:
    std::atomic<int>* at_once_;
    std::atomic<int>* most_;
  };
  npp::Pool::instance().shut_down();  // without the threads of other tests
  const std::vector<Bytes> expected = expected_files(kItems);
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  std::atomic<int> same{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&, caller] {
      const auto job = std::make_shared<Counted>(at_once, most);
      npp::Pool::instance().submit(job, kThreads);
      npp::Pool::instance().help(job, std::chrono::milliseconds(caller % 2 == 0 ? 1 : 10000));
      job->wait();
      same += job->files == expected ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  CHECK(same == 6);
  CHECK(most <= kThreads);
}

// The encoder of a picture with a map is not given to one without, nor the other way round.
void maps_do_not_leak_through_the_cache() {
  npp::EncoderCache& cache = npp::EncoderCache::instance();
  npp::EncoderKey plain = key_of(0);
  npp::EncoderKey mapped = plain;
  mapped.options.qp_maps = true;
  const Bytes picture = samples(plain.width, plain.height, 5);
  const bpg::ConstImageView view{reinterpret_cast<const std::byte*>(picture.data()),
                                 bpg::SampleType::u8,
                                 plain.width,
                                 plain.height,
                                 3,
                                 1,
                                 static_cast<std::ptrdiff_t>(plain.width) * 3,
                                 3};
  const float offset = 9;
  CHECK(plain.width == 16 && plain.height == 16);
  const auto encode = [&](const npp::EncoderKey& key, std::optional<bpg::QpMapView> qp_map) {
    std::unique_ptr<bpg::Encoder> encoder = cache.acquire(key);
    Bytes file = encoder->encode(view, {30, 30}, {}, qp_map).file;
    cache.release(key, std::move(encoder));
    return file;
  };
  cache.clear();
  const Bytes fresh = encode(plain, std::nullopt);
  cache.clear();
  const Bytes with_map = encode(mapped, bpg::QpMapView{&offset, 1, 1});
  CHECK(encode(plain, std::nullopt) == fresh);
  CHECK(cache.idle_count() == 2);
  CHECK(encode(mapped, bpg::QpMapView{&offset, 1, 1}) == with_map);
  CHECK(with_map != fresh);
  CHECK(cache.idle_count() == 2);
}

void a_cancelled_job_ends_early_and_the_others_go_on() {
  constexpr std::size_t kMany = 400;
  const auto long_job = std::make_shared<RoundTrips>(kMany, 2);
  const auto short_job = std::make_shared<RoundTrips>(4, 2);
  npp::Pool::instance().submit(long_job, 3);
  npp::Pool::instance().submit(short_job, 3);
  std::thread canceller([&long_job] { long_job->cancel(); });
  short_job->wait();
  canceller.join();
  long_job->wait();
  CHECK(short_job->done == 4);
  CHECK(long_job->done < static_cast<int>(kMany));
}

void the_cache_is_emptied_and_bounded_while_in_use() {
  npp::EncoderCache& cache = npp::EncoderCache::instance();
  const auto job = std::make_shared<RoundTrips>(40, 4);
  npp::Pool::instance().submit(job, 4);
  for (int i = 0; i < 50 && !job->wait_for(std::chrono::milliseconds(1)); ++i) {
    cache.set_limit(i % 2 == 0 ? 0 : std::size_t{1} << 20);
    cache.clear();
    CHECK(cache.idle_pixels() <= std::size_t{1} << 20);
  }
  job->wait();
  CHECK(job->done == 40);
  cache.set_limit(std::size_t{8} << 20);
}

// What had not begun is dropped, and whoever waits for it goes on.
void a_pool_that_was_shut_down_starts_again() {
  for (int i = 0; i < 3; ++i) {
    const auto job = std::make_shared<RoundTrips>(6, 2);
    npp::Pool::instance().submit(job, 2);
    npp::Pool::instance().shut_down();
    const auto after = std::make_shared<RoundTrips>(2, 2);
    npp::Pool::instance().submit(after, 2);
    after->wait();
    job->wait();
    CHECK(after->done == 2);
  }
}

// The number of threads that a job may have is not the number that it needs.
void threads_are_started_by_need() {
  npp::Pool& pool = npp::Pool::instance();
  pool.shut_down();
  const auto helped = std::make_shared<RoundTrips>(1, 64);
  pool.submit(helped, 64, true);
  pool.help(helped, std::chrono::seconds(10));
  CHECK(helped->done == 1);
  CHECK(pool.thread_count() == 0);
  CHECK(helped.use_count() == 1);  // the pool has forgotten it
  for (int i = 0; i < 20; ++i) {
    const auto job = std::make_shared<RoundTrips>(1, 64);
    pool.submit(job, 64);
    job->wait();
    CHECK(job->done == 1);
  }
  // One, and another where the first has not gone to sleep again when the next job comes.
  CHECK(pool.thread_count() >= 1 && pool.thread_count() < 8);
  const auto three = std::make_shared<RoundTrips>(12, 3);
  pool.shut_down();
  pool.submit(three, 64);
  three->wait();
  CHECK(pool.thread_count() == 3);
}

// A job that takes few threads leaves the others to the job behind it.
void what_a_job_held_back_is_taken_up_by_others() {
  npp::Pool& pool = npp::Pool::instance();
  for (int round = 0; round < 5; ++round) {
    pool.shut_down();
    const auto narrow = std::make_shared<RoundTrips>(10, 1);
    const auto wide = std::make_shared<RoundTrips>(20, 4);
    const auto helped = std::make_shared<RoundTrips>(3, 2);
    pool.submit(narrow, 1);
    pool.submit(wide, 4);
    pool.submit(helped, 2, true);
    pool.help(helped, std::chrono::milliseconds(round));
    wide->wait();
    helped->wait();
    narrow->wait();
    CHECK(narrow->done == 10 && wide->done == 20 && helped->done == 3);
  }
}

void a_cancelled_job_is_let_go_of() {
  npp::Pool& pool = npp::Pool::instance();
  const auto job = std::make_shared<RoundTrips>(1, 1);
  pool.submit(job, 1, true);  // and nobody helps
  pool.cancel(job);
  job->wait();
  CHECK(job->done == 0);
  CHECK(job.use_count() == 1);
}

#ifdef __GLIBC__
// Where the system gives no threads the caller does the work.
void a_pool_without_threads_needs_help() {
  npp::Pool& pool = npp::Pool::instance();
  pool.shut_down();
  npp::EncoderCache::instance().clear();
  round_trip(0);  // leaves an idle encoder: x265 has a thread of its own
  pthread_attr_t usual;
  pthread_attr_t impossible;
  pthread_getattr_default_np(&usual);
  pthread_attr_init(&impossible);
  pthread_attr_setstacksize(&impossible, std::size_t{1} << 47);
  CHECK(pthread_setattr_default_np(&impossible) == 0);
  const auto job = std::make_shared<RoundTrips>(1, 2);
  pool.submit(job, 2);
  CHECK(pool.needs_help());
  pool.help(job, std::chrono::seconds(10));
  CHECK(job->done == 1);
  pthread_setattr_default_np(&usual);
  pthread_attr_destroy(&impossible);
  pthread_attr_destroy(&usual);
}
#endif

}  // namespace

int main() {
  jobs_of_many_callers_do_not_mix();
  jobs_of_a_sequence_follow_each_other();
  what_is_abandoned_holds_up_nobody();
  callers_with_a_thread_each_work_together();
  helping_callers_and_workers_share_the_work();
  maps_do_not_leak_through_the_cache();
  a_cancelled_job_ends_early_and_the_others_go_on();
  the_cache_is_emptied_and_bounded_while_in_use();
  a_pool_that_was_shut_down_starts_again();
  threads_are_started_by_need();
  what_a_job_held_back_is_taken_up_by_others();
  a_cancelled_job_is_let_go_of();
#ifdef __GLIBC__
  a_pool_without_threads_needs_help();
#endif
  npp::EncoderCache::instance().clear();
  npp::Pool::instance().shut_down();
  return bpg_test::report();
}
