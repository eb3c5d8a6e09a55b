#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "batch_qps.hpp"
#include "bindings.hpp"
#include "bpg/encoder.hpp"
#include "bpg/error.hpp"
#include "encoder_cache.hpp"
#include "errors.hpp"
#include "jobs.hpp"
#include "options.hpp"
#include "outcomes.hpp"

namespace py = pybind11;

namespace npp {
namespace {

struct EncodeItem {
  EncoderKey key;
  bpg::ConstImageView image;
  std::optional<bpg::ImageView> reconstruction;
  QuantisedPicture quantised;
  // Results.
  std::vector<std::uint8_t> file;
  bpg::RangeReport range;
  double hevc_seconds = 0;  // within x265
  double seconds = 0;       // of all that C++ does for the picture
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

bool is_small(const EncodeItem& item) {
  return is_small_picture(item.image.width, item.image.height);
}

class EncodeJob final : public Job {
 public:
  EncodeJob(std::vector<EncodeItem> items, std::vector<bpg::Extension> extensions, int threads,
            std::uint64_t sequence)
      : Job(costs(items), threads, sequence),
        items_(std::move(items)),
        extensions_(std::move(extensions)) {}

  [[nodiscard]] const std::vector<EncodeItem>& items() const { return items_; }

 protected:
  void run(std::size_t index) noexcept override {
    EncodeItem& item = items_[index];
    const auto start = std::chrono::steady_clock::now();
    try {
      EncoderCache& cache = EncoderCache::instance();
      std::unique_ptr<bpg::Encoder> encoder = cache.acquire(item.key);
      bpg::Encoded encoded =
          encoder->encode(item.image, item.quantised.qp, extensions_, view_of(item.quantised.map));
      if (item.reconstruction) {
        bpg::export_image(encoded.reconstruction, *item.reconstruction);
      }
      item.file = std::move(encoded.file);
      item.range = encoded.range;
      item.hevc_seconds = encoded.hevc_seconds;
      cache.release(item.key, std::move(encoder));
      item.seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
  EncodeHandle(std::shared_ptr<EncodeJob> job, py::object kept_alive, int threads, Caller caller)
      : JobHandle(job, std::move(kept_alive), threads, kind_of(job->items()), caller),
        job_(std::move(job)) {}

  // One outcome an image.
  py::list result() {
    wait();
    py::list out;
    for (const EncodeItem& item : job_->items()) {
      py::object file = py::none();
      if (!item.failure) {
        file = to_bytes(item.file);
      }
      out.append(encode_outcome(file, to_python(item.failure), item.range, item.hevc_seconds,
                                item.seconds));
    }
    return out;
  }

 private:
  std::shared_ptr<EncodeJob> job_;
};

void set_up(EncodeItem& item, const bpg::ConstImageView& image, const QuantisedPicture& quantised,
            const bpg::EncodeOptions& options) {
  item.image = image;
  item.key = {image.width, image.height, image.channels == 4, options};
  item.key.options.qp_maps = quantised.map.has_value();
  item.quantised = quantised;
}

std::unique_ptr<EncodeHandle> start(std::vector<EncodeItem> items,
                                    std::vector<bpg::Extension> extensions, py::object kept_alive,
                                    int threads, JobHandle::Caller caller,
                                    std::uint64_t sequence = 0) {
  auto job =
      std::make_shared<EncodeJob>(std::move(items), std::move(extensions), threads, sequence);
  return std::make_unique<EncodeHandle>(std::move(job), std::move(kept_alive), threads, caller);
}

std::unique_ptr<EncodeHandle> start_encode(const py::list& images, const BatchQps& qps,
                                           const std::vector<bpg::EncodeOptions>& options,
                                           const py::sequence& extensions, int threads) {
  const std::size_t count = images.size();
  qps.check_count("start_encode", count);
  if (options.size() != count) {
    throw bpg::EncodeError("start_encode: the lists differ in length");
  }
  std::vector<EncodeItem> items(count);
  for (std::size_t i = 0; i < count; ++i) {
    set_up(items[i], image_view(images[i].cast<py::array>()), qps.pictures[i], options[i]);
  }
  return start(std::move(items), to_extensions(extensions), images, threads,
               JobHandle::Caller::waits);
}

std::unique_ptr<EncodeHandle> start_round_trip(const py::array& pictures, const BatchQps& qps,
                                               const bpg::EncodeOptions& options,
                                               py::array& outputs, int threads,
                                               std::uint64_t sequence, bool waits) {
  const std::vector<bpg::ConstImageView> views = image_views(pictures);
  const std::vector<bpg::ImageView> targets = mutable_image_views(outputs);
  qps.check_count("start_round_trip", views.size());
  if (targets.size() != views.size()) {
    throw bpg::EncodeError("start_round_trip: pictures and outputs differ in length");
  }
  std::vector<EncodeItem> items(views.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    set_up(items[i], views[i], qps.pictures[i], options);
    items[i].reconstruction = targets[i];
  }
  return start(std::move(items), {}, py::make_tuple(pictures, outputs), threads,
               waits ? JobHandle::Caller::waits : JobHandle::Caller::goes_on, sequence);
}

}  // namespace

void bind_batch_encode(py::module_& module) {
  py::class_<EncodeHandle>(module, "EncodeHandle").def("result", &EncodeHandle::result);
  module.def("start_encode", &start_encode, py::arg("images"), py::arg("qps"), py::arg("options"),
             py::arg("extensions"), py::arg("threads"));
  module.def("start_round_trip", &start_round_trip, py::arg("pictures"), py::arg("qps"),
             py::arg("options"), py::arg("outputs"), py::arg("threads"), py::arg("sequence") = 0,
             py::arg("waits") = false);
}

}  // namespace npp
