#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "bpg/color.hpp"
#include "bpg/decoder.hpp"
#include "bpg/error.hpp"
#include "errors.hpp"
#include "jobs.hpp"
#include "outcomes.hpp"
#include "output_memory.hpp"

namespace py = pybind11;

namespace npp {
namespace {

int channels_of(const bpg::Format& format) {
  if (format.alpha == bpg::Alpha::straight || format.alpha == bpg::Alpha::premultiplied) {
    return 4;
  }
  return format.chroma == bpg::Chroma::gray && format.alpha == bpg::Alpha::none ? 1 : 3;
}

struct DecodeItem {
  bpg::ByteSpan file;
  std::optional<bpg::ImageView> output;  // else memory is allocated
  // Results.
  OutputBlock memory;
  std::vector<py::ssize_t> shape;
  Failure failure;
};

// A small still, or a file that is refused at once.
bool is_small(const DecodeItem& item) {
  try {
    const bpg::FileHeader header = bpg::parse_file(item.file, bpg::Extensions::left_out).header;
    return !header.animation && is_small_picture(header.format.width, header.format.height);
  } catch (const bpg::Error&) {
    return true;
  }
}

// The largest file first: its size is what decoding costs, more or less.
std::vector<double> costs(const std::vector<DecodeItem>& items) {
  std::vector<double> out;
  out.reserve(items.size());
  for (const DecodeItem& item : items) {
    out.push_back(static_cast<double>(item.file.size));
  }
  return out;
}

bpg::ImageView view_of(std::byte* data, bpg::SampleType type, const bpg::Format& format,
                       int channels) {
  bpg::ImageView view;
  const auto size = static_cast<std::ptrdiff_t>(bpg::sample_size(type));
  view.data = data;
  view.type = type;
  view.width = format.width;
  view.height = format.height;
  view.channels = channels;
  view.stride_x = size;
  view.stride_y = size * format.width;
  view.stride_c = view.stride_y * format.height;
  return view;
}

class DecodeJob final : public Job {
 public:
  DecodeJob(std::vector<DecodeItem> items, bpg::SampleType type, bpg::DecodeLimits limits,
            int threads)
      : Job(costs(items), threads), items_(std::move(items)), type_(type), limits_(limits) {}

  [[nodiscard]] std::vector<DecodeItem>& items() { return items_; }
  [[nodiscard]] bpg::SampleType type() const { return type_; }

 protected:
  void run(std::size_t index) noexcept override {
    DecodeItem& item = items_[index];
    try {
      item.output ? decode_into(item) : decode_to_memory(item);
    } catch (...) {
      item.failure = Failure::current();
    }
  }

 private:
  void decode_into(DecodeItem& item) const {
    bpg::decode(item.file, limits_, [&item](const bpg::PictureView& picture, std::size_t frame) {
      if (frame > 0) {
        throw bpg::DecodeError("the file is an animation; a still picture is wanted here");
      }
      if (picture.format.width != item.output->width ||
          picture.format.height != item.output->height) {
        throw bpg::DecodeError("the picture is " + std::to_string(picture.format.width) + "x" +
                               std::to_string(picture.format.height) +
                               " pixels, the place for it " + std::to_string(item.output->width) +
                               "x" + std::to_string(item.output->height));
      }
      bpg::export_image(picture, *item.output);
    });
  }

  void decode_to_memory(DecodeItem& item) const {
    const bpg::FileInfo info = bpg::probe(item.file, bpg::Extensions::left_out);
    const bpg::Format& format = info.header.format;
    const int channels = channels_of(format);
    std::size_t frame_bytes = 0;
    // The first frame has been decoded when memory is asked for, so the header alone sizes nothing.
    bpg::decode(item.file, limits_, [&](const bpg::PictureView& picture, std::size_t frame) {
      if (cancelled()) {
        throw bpg::DecodeError("decoding was cancelled");
      }
      if (!item.memory) {
        frame_bytes = static_cast<std::size_t>(format.width) *
                      static_cast<std::size_t>(format.height) * static_cast<std::size_t>(channels) *
                      bpg::sample_size(type_);
        const std::size_t bytes = frame_bytes * info.ticks.size();
        item.memory = OutputMemory::instance().take(bytes);
      }
      bpg::export_image(picture,
                        view_of(item.memory.get() + frame * frame_bytes, type_, format, channels));
    });
    item.shape = {channels, format.height, format.width};
    if (info.header.animation) {
      item.shape.insert(item.shape.begin(), static_cast<py::ssize_t>(info.ticks.size()));
    }
  }

  std::vector<DecodeItem> items_;
  bpg::SampleType type_;
  bpg::DecodeLimits limits_;
};

class DecodeHandle : public JobHandle {
 public:
  DecodeHandle(std::shared_ptr<DecodeJob> job, py::object kept_alive, int threads)
      : JobHandle(job, std::move(kept_alive), threads, kind_of(job->items()), Caller::waits),
        job_(std::move(job)) {}

  // One outcome a file. The arrays own their memory.
  py::list result() {
    wait();
    py::list out;
    for (DecodeItem& item : job_->items()) {
      py::object picture = py::none();
      if (!item.failure && item.memory) {
        picture = array_of(std::move(item.memory), numpy_dtype(job_->type()), item.shape);
      }
      out.append(decode_outcome(picture, to_python(item.failure)));
    }
    return out;
  }

 private:
  std::shared_ptr<DecodeJob> job_;
};

std::unique_ptr<DecodeHandle> start_decode(const std::vector<py::bytes>& files,
                                           const py::dtype& dtype,
                                           const std::optional<py::list>& outputs,
                                           std::uint64_t max_pixels, int threads) {
  std::vector<DecodeItem> items(files.size());
  if (outputs && outputs->size() != files.size()) {
    throw bpg::DecodeError("start_decode: the lists differ in length");
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    items[i].file = span_of(files[i]);
    if (outputs) {
      auto output = (*outputs)[i].cast<py::array>();
      items[i].output = mutable_image_view(output);
    }
  }
  py::list kept;
  for (const py::bytes& file : files) {
    kept.append(file);
  }
  if (outputs) {
    kept.append(*outputs);
  }
  auto job = std::make_shared<DecodeJob>(std::move(items), sample_type(dtype),
                                         bpg::DecodeLimits{max_pixels}, threads);
  return std::make_unique<DecodeHandle>(std::move(job), std::move(kept), threads);
}

}  // namespace

void bind_batch_decode(py::module_& module) {
  py::class_<DecodeHandle>(module, "DecodeHandle").def("result", &DecodeHandle::result);
  module.def("start_decode", &start_decode, py::arg("files"), py::arg("dtype"), py::arg("outputs"),
             py::arg("max_pixels"), py::arg("threads"));
}

}  // namespace npp
