#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
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

  /// What `make` gives, an encoder that is opened. Each idle one holds a thread and memory: where
  /// there is none left for another, they are closed and it is tried once more.
  template <typename Make>
  auto open(const Make& make) -> decltype(make()) {
    try {
      return make();
    } catch (const bpg::NoThreadError&) {
      if (idle_count() == 0) {
        throw;
      }
    } catch (const std::bad_alloc&) {
      if (idle_count() == 0) {
        throw;
      }
    }
    clear();
    return make();
  }

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
