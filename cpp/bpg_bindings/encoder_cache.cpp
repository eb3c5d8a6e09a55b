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
  if (auto idle = idle_.take(key)) {
    return std::move(*idle);
  }
  return open([&key] {
    return std::make_unique<bpg::Encoder>(key.width, key.height, key.has_alpha, key.options);
  });
}

void EncoderCache::release(const EncoderKey& key, std::unique_ptr<bpg::Encoder> encoder) {
  idle_.put(key, std::move(encoder), cost(key));
}

}  // namespace npp
