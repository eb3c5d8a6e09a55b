#include "encoder_cache.hpp"

#include <algorithm>
#include <utility>

#include "per_process.hpp"

namespace npp {
namespace {

// x265 keeps some hundred kilobytes an encoder whatever its size: a small picture counts as this.
constexpr std::size_t kSmallestCost = 64 * 1024;

std::size_t cost(const EncoderKey& key) {
  return std::max(kSmallestCost,
                  static_cast<std::size_t>(key.width) * static_cast<std::size_t>(key.height));
}

}  // namespace

EncoderCache& EncoderCache::instance() { return PerProcess<EncoderCache>::get(); }

std::unique_ptr<bpg::Encoder> EncoderCache::acquire(const EncoderKey& key) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found =
        std::find_if(idle_.begin(), idle_.end(), [&key](const Idle& i) { return i.key == key; });
    if (found != idle_.end()) {
      std::unique_ptr<bpg::Encoder> encoder = std::move(found->encoder);
      pixels_ -= cost(key);
      idle_.erase(found);
      return encoder;
    }
  }
  return std::make_unique<bpg::Encoder>(key.width, key.height, key.has_alpha, key.options);
}

EncoderCache::IdleList EncoderCache::evict() {
  IdleList evicted;
  while (pixels_ > limit_) {
    pixels_ -= cost(idle_.back().key);
    evicted.splice(evicted.begin(), idle_, std::prev(idle_.end()));
  }
  return evicted;
}

void EncoderCache::release(const EncoderKey& key, std::unique_ptr<bpg::Encoder> encoder) {
  IdleList evicted;  // closed after the lock is gone
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_front({key, std::move(encoder)});
  pixels_ += cost(key);
  evicted = evict();
}

void EncoderCache::clear() {
  IdleList evicted;
  const std::lock_guard<std::mutex> lock(mutex_);
  evicted.swap(idle_);
  pixels_ = 0;
}

void EncoderCache::set_limit(std::size_t pixels) {
  IdleList evicted;
  const std::lock_guard<std::mutex> lock(mutex_);
  limit_ = pixels;
  evicted = evict();
}

std::size_t EncoderCache::idle_count() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return idle_.size();
}

std::size_t EncoderCache::idle_pixels() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return pixels_;
}

}  // namespace npp
