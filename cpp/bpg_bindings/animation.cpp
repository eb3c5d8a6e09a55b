#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
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

struct AnimationFrame {
  bpg::ConstImageView image;
  QuantisedPicture quantised;
  std::uint16_t ticks = 1;
};

// One item: the frames of an animation depend on each other.
class AnimationJob final : public Job {
 public:
  AnimationJob(std::vector<AnimationFrame> frames, bpg::EncodeOptions options,
               bpg::AnimationControl control, std::vector<bpg::Extension> extensions)
      : Job({1.0}, 1),
        frames_(std::move(frames)),
        options_(std::move(options)),
        control_(control),
        extensions_(std::move(extensions)) {}

  std::vector<std::uint8_t> file;
  bpg::RangeReport range;
  std::size_t bad_frame = 0;
  Failure failure;

 protected:
  void run(std::size_t /*item*/) noexcept override {
    try {
      const bpg::ConstImageView& first = frames_.front().image;
      bpg::AnimationEncoder encoder = EncoderCache::instance().open([&first, this] {
        return bpg::AnimationEncoder(first.width, first.height, first.channels == 4, options_);
      });
      for (std::size_t i = 0; i < frames_.size() && !cancelled(); ++i) {
        const AnimationFrame& frame = frames_[i];
        const bpg::Encoded encoded =
            encoder.add(frame.image, frame.quantised.qp, frame.ticks, view_of(frame.quantised.map));
        if (encoded.range.outside || encoded.range.nan) {
          range = encoded.range;
          bad_frame = i;
          return;
        }
      }
      if (!cancelled()) {
        file = encoder.finish(control_, extensions_);
      }
    } catch (...) {
      failure = Failure::current();
    }
  }

 private:
  std::vector<AnimationFrame> frames_;
  bpg::EncodeOptions options_;
  bpg::AnimationControl control_;
  std::vector<bpg::Extension> extensions_;
};

class AnimationHandle : public JobHandle {
 public:
  AnimationHandle(std::shared_ptr<AnimationJob> job, py::object kept_alive)
      : JobHandle(job, std::move(kept_alive), 1, Items::lengthy, Caller::waits),
        job_(std::move(job)) {}

  py::object result() {
    wait();
    py::object file = py::none();
    if (!job_->failure) {
      file = to_bytes(job_->file);
    }
    return animation_outcome(file, to_python(job_->failure), job_->range, job_->bad_frame);
  }

 private:
  std::shared_ptr<AnimationJob> job_;
};

std::unique_ptr<AnimationHandle> start_animation(const py::list& images, const BatchQps& qps,
                                                 const std::vector<std::uint16_t>& ticks,
                                                 bpg::EncodeOptions options,
                                                 std::uint32_t loop_count,
                                                 std::pair<std::uint32_t, std::uint32_t> period,
                                                 const py::sequence& extensions) {
  const std::size_t count = images.size();
  qps.check_count("start_animation", count);
  if (count == 0 || ticks.size() != count) {
    throw bpg::EncodeError("start_animation: the lists are empty or differ in length");
  }
  // One map is enough: a frame without one gets a map of zeros.
  options.qp_maps = std::any_of(qps.pictures.begin(), qps.pictures.end(),
                                [](const QuantisedPicture& one) { return one.map.has_value(); });
  std::vector<AnimationFrame> frames(count);
  for (std::size_t i = 0; i < count; ++i) {
    frames[i] = {image_view(images[i].cast<py::array>()), qps.pictures[i], ticks[i]};
  }
  auto job = std::make_shared<AnimationJob>(
      std::move(frames), std::move(options),
      bpg::AnimationControl{loop_count, period.first, period.second}, to_extensions(extensions));
  return std::make_unique<AnimationHandle>(std::move(job), images);
}

}  // namespace

void bind_animation(py::module_& module) {
  py::class_<AnimationHandle>(module, "AnimationHandle").def("result", &AnimationHandle::result);
  module.def("start_animation", &start_animation, py::arg("images"), py::arg("qps"),
             py::arg("ticks"), py::arg("options"), py::arg("loop_count"), py::arg("period"),
             py::arg("extensions"));
}

}  // namespace npp
