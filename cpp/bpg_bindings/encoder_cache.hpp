#pragma once

#include <cstddef>
#include <memory>

#include "bpg/encoder.hpp"
#include "idle_store.hpp"

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
/// megabytes. Thread-safe.
class EncoderCache {
 public:
  /// The cache of this process; a forked child gets an empty one.
  static EncoderCache& instance();

  /// An idle encoder of this kind, or a new one.
  std::unique_ptr<bpg::Encoder> acquire(const EncoderKey& key);
  /// Gives an encoder back. One that threw must not come back.
  void release(const EncoderKey& key, std::unique_ptr<bpg::Encoder> encoder);

  /// Closes all idle encoders.
  void clear() { idle_.clear(); }
  /// Pixels of all pictures for which idle encoders are kept.
  void set_limit(std::size_t pixels) { idle_.set_limit(pixels); }
  [[nodiscard]] std::size_t idle_count() { return idle_.count(); }
  [[nodiscard]] std::size_t idle_pixels() { return idle_.total(); }

 private:
  IdleStore<EncoderKey, std::unique_ptr<bpg::Encoder>> idle_{std::size_t{8} << 20};
};

}  // namespace npp
