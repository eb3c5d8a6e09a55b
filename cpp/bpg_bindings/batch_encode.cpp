#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
#include "encoder_cache.hpp"
#include "errors.hpp"
#include "jobs.hpp"
#include "options.hpp"

namespace py = pybind11;

namespace npp {
namespace {

struct EncodeItem {
  EncoderKey key;
  bpg::ConstImageView image;
  std::optional<bpg::ImageView> reconstruction;
  bpg::PictureQp qp;
  // Results.
  std::vector<std::uint8_t> file;
  bpg::RangeReport range;
  double hevc_seconds = 0;
  Failure failure;
};

std::vector<double> costs(const std::vector<EncodeItem>& items) {
  std::vector<double> out;
  out.reserve(items.size());
  for (const EncodeItem& item : items) {
    out.push_back(items.size() > 1 ? bpg::encoding_cost(item.image) : 0.0);
  }
  return out;
}

class EncodeJob final : public Job {
 public:
  EncodeJob(std::vector<EncodeItem> items, std::vector<bpg::Extension> extensions, int threads)
      : Job(costs(items), threads), items_(std::move(items)), extensions_(std::move(extensions)) {}

  [[nodiscard]] const std::vector<EncodeItem>& items() const { return items_; }

 protected:
  void run(std::size_t index) noexcept override {
    EncodeItem& item = items_[index];
    try {
      EncoderCache& cache = EncoderCache::instance();
      std::unique_ptr<bpg::Encoder> encoder = cache.acquire(item.key);
      bpg::Encoded encoded = encoder->encode(item.image, item.qp, extensions_);
      if (item.reconstruction) {
        bpg::export_image(encoded.reconstruction, *item.reconstruction);
      }
      item.file = std::move(encoded.file);
      item.range = encoded.range;
      item.hevc_seconds = encoded.hevc_seconds;
      cache.release(item.key, std::move(encoder));
    } catch (...) {
      item.failure = Failure::current();
    }
  }

 private:
  std::vector<EncodeItem> items_;
  std::vector<bpg::Extension> extensions_;
};

class EncodeHandle : public JobHandle {
 public:
  EncodeHandle(std::shared_ptr<EncodeJob> job, py::object kept_alive, int threads)
      : JobHandle(job, std::move(kept_alive), threads), job_(std::move(job)) {}

  // One tuple an image: (file or None, exception or None, outside, nan, seconds in x265).
  py::list result() {
    wait();
    py::list out;
    for (const EncodeItem& item : job_->items()) {
      py::object file = py::none();
      py::object failure = py::none();
      if (item.failure) {
        failure = item.failure.to_python();
      } else {
        file = py::bytes(reinterpret_cast<const char*>(item.file.data()), item.file.size());
      }
      out.append(
          py::make_tuple(file, failure, item.range.outside, item.range.nan, item.hevc_seconds));
    }
    return out;
  }

 private:
  std::shared_ptr<EncodeJob> job_;
};

std::unique_ptr<EncodeHandle> start_encode(const py::list& images, const std::vector<int>& qp,
                                           const std::vector<int>& alpha_qp,
                                           const std::vector<bpg::EncodeOptions>& options,
                                           const py::sequence& extensions,
                                           const std::optional<py::list>& outputs, int threads) {
  const std::size_t count = images.size();
  if (qp.size() != count || alpha_qp.size() != count || options.size() != count ||
      (outputs && outputs->size() != count)) {
    throw bpg::EncodeError("start_encode: the lists differ in length");
  }
  std::vector<EncodeItem> items(count);
  for (std::size_t i = 0; i < count; ++i) {
    EncodeItem& item = items[i];
    item.image = image_view(images[i].cast<py::array>());
    item.key = {item.image.width, item.image.height, item.image.channels == 4, options[i]};
    item.qp = {qp[i], alpha_qp[i]};
    if (outputs) {
      auto output = (*outputs)[i].cast<py::array>();
      item.reconstruction = mutable_image_view(output);
    }
  }
  auto job = std::make_shared<EncodeJob>(std::move(items), to_extensions(extensions), threads);
  py::object kept = py::make_tuple(images, outputs ? py::object(*outputs) : py::object(py::none()));
  return std::make_unique<EncodeHandle>(std::move(job), std::move(kept), threads);
}

}  // namespace

void bind_batch_encode(py::module_& module) {
  py::class_<EncodeHandle>(module, "EncodeHandle").def("result", &EncodeHandle::result);
  module.def("start_encode", &start_encode, py::arg("images"), py::arg("qp"), py::arg("alpha_qp"),
             py::arg("options"), py::arg("extensions"), py::arg("outputs"), py::arg("threads"));
  module.def("clear_encoders", [] {
    const py::gil_scoped_release release;
    EncoderCache::instance().clear();
  });
  module.def(
      "set_encoder_limit",
      [](std::size_t pixels) {
        const py::gil_scoped_release release;
        EncoderCache::instance().set_limit(pixels);
      },
      py::arg("pixels"));
  module.def("idle_encoders", [] {
    EncoderCache& cache = EncoderCache::instance();
    return std::make_pair(cache.idle_count(), cache.idle_pixels());
  });
}

}  // namespace npp
