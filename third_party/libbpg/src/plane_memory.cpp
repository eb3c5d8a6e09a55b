#include "plane_memory.hpp"

#include <array>
#include <new>
#include <utility>

#include "bpg/huge_pages.hpp"

namespace bpg {
namespace {

// Mapping pages takes a hundredth of the time that coding so many samples takes.
constexpr std::size_t kLarge = std::size_t{1} << 20;

struct Block {
  std::byte* data = nullptr;
  std::size_t size = 0;
};

std::byte* allocate(std::size_t size) noexcept {
  return size < kLarge ? static_cast<std::byte*>(
                             ::operator new (size, std::align_val_t{kPlaneAlignment}, std::nothrow))
                       : map_pages(size);
}

void give_back(const Block& block) noexcept {
  if (block.size < kLarge) {
    ::operator delete (block.data, std::align_val_t{kPlaneAlignment});
  } else {
    unmap_pages(block.data, block.size);
  }
}

// The planes of a thread's last picture.
class Kept {
 public:
  Kept() = default;
  ~Kept() {
    for (const Block& block : blocks_) {
      if (block.data != nullptr) {
        give_back(block);
      }
    }
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  std::byte* take(std::size_t size) noexcept {
    for (Block& block : blocks_) {
      if (block.data != nullptr && block.size == size) {
        return std::exchange(block, Block{}).data;
      }
    }
    return nullptr;
  }

  // In place of the one that has lain here longest, which is given back.
  void put(Block block) noexcept {
    std::swap(block, blocks_[next_]);
    next_ = (next_ + 1) % blocks_.size();
    if (block.data != nullptr) {
      give_back(block);
    }
  }

 private:
  std::array<Block, 4> blocks_{};
  std::size_t next_ = 0;
};

Kept& kept() {
  static thread_local Kept of_this_thread;
  return of_this_thread;
}

}  // namespace

std::byte* allocate_planes(std::size_t size) noexcept {
  std::byte* planes = size < kLarge ? kept().take(size) : nullptr;
  return planes != nullptr ? planes : allocate(size);
}

void free_planes(std::byte* planes, std::size_t size) noexcept {
  if (size < kLarge) {
    kept().put({planes, size});
  } else {
    give_back({planes, size});
  }
}

}  // namespace bpg
