#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace npp {

/// Values that lie idle until the next need of their kind. What all of them cost is bounded: the
/// one that was idle longest goes first, and none is destroyed while the lock is held. Thread-safe.
template <typename Key, typename Value>
class IdleStore {
 public:
  explicit IdleStore(std::size_t limit) : limit_(limit) {}

  /// Of this kind the one that was put last, or nothing.
  std::optional<Value> take(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found =
        std::find_if(idle_.begin(), idle_.end(), [&key](const Idle& i) { return i.key == key; });
    if (found == idle_.end()) {
      return std::nullopt;
    }
    std::optional<Value> value(std::move(found->value));
    total_ -= found->cost;
    idle_.erase(found);
    return value;
  }

  /// Destroys a value that alone costs more than the limit, and others where all do.
  void put(Key key, Value value, std::size_t cost) {
    std::list<Idle> one;
    one.push_back({std::move(key), std::move(value), cost});
    std::list<Idle> evicted;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (cost <= limit_) {
      idle_.splice(idle_.begin(), one);
      total_ += cost;
      evicted = evict();
    }
  }

  void clear() {
    std::list<Idle> evicted;
    const std::lock_guard<std::mutex> lock(mutex_);
    evicted.swap(idle_);
    total_ = 0;
  }

  void set_limit(std::size_t limit) {
    std::list<Idle> evicted;
    const std::lock_guard<std::mutex> lock(mutex_);
    limit_ = limit;
    evicted = evict();
  }

  [[nodiscard]] std::size_t count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return idle_.size();
  }

  /// What all idle values cost.
  [[nodiscard]] std::size_t total() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return total_;
  }

 private:
  struct Idle {
    Key key;
    Value value;
    std::size_t cost;
  };

  std::list<Idle> evict() {
    std::list<Idle> evicted;
    while (total_ > limit_) {
      total_ -= idle_.back().cost;
      evicted.splice(evicted.begin(), idle_, std::prev(idle_.end()));
    }
    return evicted;
  }

  std::mutex mutex_;
  std::list<Idle> idle_;  // the latest first
  std::size_t total_ = 0;
  std::size_t limit_;
};

}  // namespace npp
