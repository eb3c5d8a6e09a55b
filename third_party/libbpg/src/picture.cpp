#include "bpg/picture.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "bpg/error.hpp"
#include "plane_memory.hpp"

namespace bpg {
namespace {

struct PlaneSize {
  int width = 0;
  int height = 0;
};

/// Size of plane `index` of a picture width x height; {0, 0} for a plane that the format lacks.
PlaneSize plane_size(const Format& format, std::size_t index, int width, int height) {
  if (index == 0) {
    return {width, height};
  }
  if (index == kAlphaPlane) {
    return format.alpha == Alpha::none ? PlaneSize{} : PlaneSize{width, height};
  }
  if (format.chroma == Chroma::gray) {
    return {};
  }
  return {subsampled(width, chroma_shift_x(format.chroma)),
          subsampled(height, chroma_shift_y(format.chroma))};
}

std::size_t sample_bytes(const Format& format) { return format.bit_depth == 8 ? 1 : 2; }

void check(const Format& format, int alignment) {
  if (format.width <= 0 || format.height <= 0) {
    throw Error("width and height must be positive, not " + std::to_string(format.width) + "x" +
                std::to_string(format.height));
  }
  if (format.bit_depth < 8 || format.bit_depth > 14) {
    throw Error("bit_depth must be 8..14, not " + std::to_string(format.bit_depth));
  }
  if (alignment < 1) {
    throw Error("alignment must be positive, not " + std::to_string(alignment));
  }
}

int round_up(int length, int alignment) {
  const std::int64_t rounded =
      (static_cast<std::int64_t>(length) + alignment - 1) / alignment * alignment;
  // One less than the largest int, so that sums with a chroma shift stay in range.
  if (rounded >= std::numeric_limits<int>::max()) {
    throw Error("a side of " + std::to_string(length) + " samples is too long");
  }
  return static_cast<int>(rounded);
}

std::size_t row_bytes(int width, std::size_t bytes_per_sample) {
  const std::size_t bytes = static_cast<std::size_t>(width) * bytes_per_sample;
  return (bytes + kPlaneAlignment - 1) / kPlaneAlignment * kPlaneAlignment;
}

/// Repeats the last sample of every row and then the last row.
void extend_plane(const Plane& plane, std::size_t bytes_per_sample, PlaneSize used,
                  PlaneSize allocated) {
  const std::size_t used_bytes = static_cast<std::size_t>(used.width) * bytes_per_sample;
  const std::size_t all_bytes = static_cast<std::size_t>(allocated.width) * bytes_per_sample;
  for (int y = 0; y < used.height; ++y) {
    std::byte* row = plane.data + y * plane.stride;
    for (std::size_t at = used_bytes; at < all_bytes; at += bytes_per_sample) {
      std::memcpy(row + at, row + used_bytes - bytes_per_sample, bytes_per_sample);
    }
  }
  const std::byte* last = plane.data + (used.height - 1) * plane.stride;
  for (int y = used.height; y < allocated.height; ++y) {
    std::memcpy(plane.data + y * plane.stride, last, all_bytes);
  }
}

}  // namespace

void Picture::FreeDeleter::operator()(std::byte* p) const { free_planes(p, size); }

Picture::Picture(const Format& format, int alignment) : format_(format) {
  check(format, alignment);
  padded_width_ = round_up(format.width, alignment);
  padded_height_ = round_up(format.height, alignment);

  std::array<std::size_t, 4> bytes{};
  std::size_t total = 0;
  for (std::size_t i = 0; i < planes_.size(); ++i) {
    const PlaneSize size = plane_size(format, i, padded_width_, padded_height_);
    const std::size_t row = row_bytes(size.width, sample_bytes(format));
    // A row is below 2^33 bytes and there are fewer than 2^31 of them; four planes may pass 2^64.
    if (size.height > 0 &&
        row > std::numeric_limits<std::size_t>::max() / 8 / static_cast<std::size_t>(size.height)) {
      throw Error("a picture of " + std::to_string(format.width) + "x" +
                  std::to_string(format.height) + " samples is too large for this machine");
    }
    planes_[i].stride = static_cast<std::ptrdiff_t>(row);
    bytes[i] = row * static_cast<std::size_t>(size.height);
    total += bytes[i];
  }

  memory_ = {allocate_planes(total), FreeDeleter{total}};
  if (!memory_) {
    throw std::bad_alloc();
  }
  std::byte* next = memory_.get();
  for (std::size_t i = 0; i < planes_.size(); ++i) {
    planes_[i].data = bytes[i] == 0 ? nullptr : next;
    next += bytes[i];
  }
}

PictureView Picture::view() const {
  PictureView view{format_, {}};
  for (std::size_t i = 0; i < planes_.size(); ++i) {
    view.planes[i] = {planes_[i].data, planes_[i].stride};
  }
  return view;
}

MutablePictureView Picture::mutable_view() { return {format_, planes_}; }

void Picture::extend_edges() {
  for (std::size_t i = 0; i < planes_.size(); ++i) {
    if (planes_[i].data != nullptr) {
      extend_plane(planes_[i], sample_bytes(format_),
                   plane_size(format_, i, format_.width, format_.height),
                   plane_size(format_, i, padded_width_, padded_height_));
    }
  }
}

}  // namespace bpg
