#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

#include "bpg/encoder.hpp"

namespace npp {

/// What encoders must share to stand in for one another.
struct EncoderKey {
  int width = 0;
  int height = 0;
  bool has_alpha = false;
  bpg::EncodeOptions options;

  bool operator==(const EncoderKey& o) const {
    return width == o.width && height == o.height && has_alpha == o.has_alpha &&
           options == o.options;
  }
};

/// Idle encoders, kept for the next picture of their kind: opening one costs milliseconds and
/// megabytes. Bounded; the one that was idle longest goes first. Thread-safe.
class EncoderCache {
 public:
  /// The cache of this process; a forked child gets an empty one.
  static EncoderCache& instance();

  /// An idle encoder of this kind, or a new one.
  std::unique_ptr<bpg::Encoder> acquire(const EncoderKey& key);
  /// Gives an encoder back. One that threw must not come back.
  void release(const EncoderKey& key, std::unique_ptr<bpg::Encoder> encoder);

  /// Closes all idle encoders.
  void clear();
  /// Pixels of all pictures for which idle encoders are kept.
  void set_limit(std::size_t pixels);
  [[nodiscard]] std::size_t idle_count();
  [[nodiscard]] std::size_t idle_pixels();

 private:
  struct Idle {
    EncoderKey key;
    std::unique_ptr<bpg::Encoder> encoder;
  };
  using IdleList = std::list<Idle>;

  IdleList evict();

  std::mutex mutex_;
  IdleList idle_;  // the latest first
  std::size_t pixels_ = 0;
  std::size_t limit_ = std::size_t{8} << 20;
};

}  // namespace npp
