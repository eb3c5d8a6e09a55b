// Which idle values stay, which go and which are handed out.
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "check.hpp"
#include "idle_store.hpp"

namespace {

using Store = npp::IdleStore<int, std::shared_ptr<int>>;

// Whether a value was destroyed is seen from outside.
std::weak_ptr<int> put(Store& store, int key, int value, std::size_t cost) {
  auto owned = std::make_shared<int>(value);
  std::weak_ptr<int> seen = owned;
  store.put(key, std::move(owned), cost);
  return seen;
}

void hands_out_the_latest_of_a_kind() {
  Store store(10);
  put(store, 1, 100, 2);
  put(store, 1, 101, 3);
  put(store, 2, 200, 4);
  CHECK(store.count() == 3 && store.total() == 9);
  CHECK(!store.take(3));
  CHECK(**store.take(1) == 101);
  CHECK(store.count() == 2 && store.total() == 6);
  CHECK(**store.take(1) == 100);
  CHECK(!store.take(1));
  CHECK(**store.take(2) == 200);
  CHECK(store.count() == 0 && store.total() == 0);
}

void the_one_that_was_idle_longest_goes_first() {
  Store store(10);
  const auto first = put(store, 1, 100, 4);
  const auto second = put(store, 2, 200, 4);
  const auto third = put(store, 3, 300, 6);
  CHECK(first.expired() && !second.expired() && !third.expired());
  CHECK(store.count() == 2 && store.total() == 10);
  store.set_limit(6);
  CHECK(second.expired() && !third.expired());
}

void one_that_is_too_large_drives_no_other_out() {
  Store store(10);
  const auto small = put(store, 1, 100, 4);
  const auto large = put(store, 2, 200, 11);
  CHECK(large.expired() && !small.expired());
  CHECK(store.count() == 1 && store.total() == 4);
}

void what_is_cleared_is_destroyed() {
  Store store(10);
  const auto seen = put(store, 1, 100, 4);
  store.clear();
  CHECK(seen.expired());
  CHECK(store.count() == 0 && store.total() == 0);
}

// A value whose end uses the store again, as a callback may, would wait for ever for the lock.
struct AsksTheStore {
  npp::IdleStore<int, std::unique_ptr<AsksTheStore>>* store;
  ~AsksTheStore() { static_cast<void>(store->count()); }
};

void no_value_is_destroyed_under_the_lock() {
  npp::IdleStore<int, std::unique_ptr<AsksTheStore>> store(1);
  const auto value = [&store] { return std::make_unique<AsksTheStore>(AsksTheStore{&store}); };
  store.put(1, value(), 1);
  store.put(2, value(), 1);  // drives the first out
  store.put(3, value(), 2);  // too large
  store.set_limit(0);
  store.set_limit(1);
  store.put(4, value(), 1);
  store.clear();
  CHECK(store.count() == 0);
}

}  // namespace

int main() {
  hands_out_the_latest_of_a_kind();
  the_one_that_was_idle_longest_goes_first();
  one_that_is_too_large_drives_no_other_out();
  what_is_cleared_is_destroyed();
  no_value_is_destroyed_under_the_lock();
  return bpg_test::report();
}
