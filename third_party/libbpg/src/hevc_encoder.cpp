#include "hevc_encoder.hpp"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <string>

#include "block_qps.hpp"
#include "bpg/error.hpp"
#include "bpg/signals.hpp"
#include "hevc_syntax.hpp"
#include "slice_header.hpp"
#include "x265_cost_tables.hpp"
#include "x265_resources.hpp"
#include "x265_settings.hpp"

namespace bpg {
namespace {

// Opening and closing touch tables that x265 shares between encoders without a lock of its own.
std::mutex g_open_mutex;

void lock_before_a_fork() {
  g_open_mutex.lock();  // first, for who holds it may want the other
  lock_cost_tables();
}

void unlock_after_a_fork() {
  unlock_cost_tables();
  g_open_mutex.unlock();
}

// A fork while another thread opens an encoder, or fills a table, would leave the child with a lock
// held for ever. As the library is loaded: the first encoder may be opened while the process forks.
[[maybe_unused]] const int g_locks_at_forks =
    pthread_atfork(lock_before_a_fork, unlock_after_a_fork, unlock_after_a_fork);

// x265 opens an encoder with a thread of its own, and waits for ever where the system gives none.
void check_threads() {
  pthread_t thread{};
  if (pthread_create(
          &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) != 0) {
    throw NoThreadError(
        "x265 needs a thread, and the system gives no more threads or no memory for one");
  }
  pthread_join(thread, nullptr);
}

ByteSpan span_of(const x265_nal& nal) { return {nal.payload, nal.sizeBytes}; }

}  // namespace

const x265_api& x265_for(int bit_depth) {
  const std::lock_guard<std::mutex> lock(g_open_mutex);
  const x265_api* api = x265_api_get(bit_depth);
  if (api == nullptr || api->bit_depth != bit_depth) {
    throw UnsupportedError("bit_depth " + std::to_string(bit_depth) +
                           ": this x265 was built without it");
  }
  return *api;
}

void HevcEncoder::EncoderDeleter::operator()(x265_encoder* e) const {
  const std::lock_guard<std::mutex> lock(g_open_mutex);
  api->encoder_close(e);
}

HevcEncoder::HevcEncoder(const HevcConfig& config)
    : config_(config),
      api_(&x265_for(config.bit_depth)),
      param_(x265_settings(*api_, config_)),
      encoder_(nullptr, {api_}),
      input_(api_->picture_alloc(), {api_}),
      output_(api_->picture_alloc(), {api_}) {
  if (!input_ || !output_) {
    throw EncodeError("x265 is out of memory");
  }
  const std::uint64_t failed = failed_allocations();
  {
    const std::lock_guard<std::mutex> lock(g_open_mutex);
    const SignalsBlocked for_its_threads;
    check_threads();
    encoder_.reset(api_->encoder_open(param_.get()));
  }
  if (!encoder_) {
    throw EncodeError("x265 refuses a picture of " + std::to_string(config.width) + "x" +
                      std::to_string(config.height) + " with the options given");
  }
  api_->picture_init(param_.get(), input_.get());
  api_->picture_init(param_.get(), output_.get());
  read_header();
  highest_qp_ = find_highest_qp();
  if (failed_allocations() != failed) {
    throw std::bad_alloc();
  }
}

void HevcEncoder::read_header() {
  x265_nal* nals = nullptr;
  std::uint32_t count = 0;
  if (api_->encoder_headers(encoder_.get(), &nals, &count) < 0) {
    throw EncodeError("x265 wrote no headers");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (static_cast<int>(nals[i].type) == kNalSps) {
      header_ = header_from_sps(without_start_code(span_of(nals[i])), config_.chroma_format_idc,
                                config_.width, config_.height, config_.bit_depth, config_.inter);
      return;
    }
  }
  throw EncodeError("x265 wrote no SPS");
}

// x265 lets slice_loop_filter_across_slices_enabled_flag depend on the number of pictures coded so
// far. It means nothing in a picture of one slice; set, the bytes do not depend on the encoder's
// past.
void HevcEncoder::set_loop_filter_flag(x265_nal* nals, std::uint32_t count) {
  const auto find = [nals, count](auto matches) {
    return std::find_if(nals, nals + count, [&matches](const x265_nal& n) {
      return matches(static_cast<int>(n.type));
    });
  };
  x265_nal* pps = find([](int type) { return type == kNalPps; });
  x265_nal* slice = find([](int type) { return is_irap(type); });
  if (pps == nals + count || slice == nals + count) {
    throw EncodeError("x265 wrote no PPS or no intra slice");
  }
  const ByteSpan slice_bytes = without_start_code(span_of(*slice));
  const auto position = loop_filter_flag_position(without_start_code(span_of(*pps)), slice_bytes,
                                                  config_.chroma_format_idc, header_.sao);
  if (position) {
    const std::size_t offset =
        static_cast<std::size_t>(slice_bytes.data - slice->payload) + *position / 8;
    slice->payload[offset] =
        static_cast<std::uint8_t>(slice->payload[offset] | 0x80U >> *position % 8);
  }
}

bool HevcEncoder::codes_intra_only() const {
  return !config_.inter || static_cast<std::uint32_t>(param_->sourceWidth) <= param_->maxCUSize;
}

// libavcodec decodes predicted pictures of 12 bits wrongly where any plane's QP is above 49.
int HevcEncoder::find_highest_qp() const {
  if (!config_.inter || config_.bit_depth != 12) {
    return kMaxQp;
  }
  constexpr int kHighest = 49;
  if (config_.chroma_format_idc == 0) {
    return kHighest;
  }
  // HEVC's table lowers the coarse chroma QPs of pictures with a quarter of the samples by 6.
  const int lowered = config_.chroma_format_idc == 1 ? 6 : 0;
  ParamPtr of_encoder(api_->param_alloc(), {api_});
  if (!of_encoder) {
    throw EncodeError("x265 is out of memory");
  }
  api_->encoder_parameters(encoder_.get(), of_encoder.get());
  const int coarser = std::max(of_encoder->cbQpOffset, of_encoder->crQpOffset);
  return std::min(kHighest, kHighest + lowered - coarser);
}

HevcPicture HevcEncoder::encode(const std::array<ConstPlane, 3>& planes, int slice_qp,
                                const QpMapView& qp_map) {
  slice_qp = std::min(slice_qp, highest_qp_);
  for (std::size_t i = 0; i < planes.size(); ++i) {
    // x265's structure is not const-correct; it only reads the planes of an input picture.
    input_->planes[i] = const_cast<std::byte*>(planes[i].data);
    input_->stride[i] = static_cast<int>(planes[i].stride);
  }
  input_->bitDepth = config_.bit_depth;
  input_->colorSpace = config_.chroma_format_idc;
  input_->sliceType = !config_.inter       ? X265_TYPE_IDR
                      : codes_intra_only() ? X265_TYPE_I
                                           : X265_TYPE_AUTO;
  input_->forceqp = config_.lossless ? 0 : slice_qp + 1;  // x265 takes 0 for "not forced"
  if (config_.qp_maps) {
    // x265 has place for offsets only if its first picture brings some, so that all pictures do.
    block_offsets_ =
        block_offsets(qp_map, slice_qp, highest_qp_, param_->sourceWidth, param_->sourceHeight);
    input_->quantOffsets = block_offsets_.data();
  }

  x265_nal* nals = nullptr;
  std::uint32_t count = 0;
  const std::uint64_t failed = failed_allocations();
  const int done = x265_api_differences::encode(api_->encoder_encode, encoder_.get(), &nals, &count,
                                                input_.get(), output_.get());
  if (failed_allocations() != failed) {
    throw std::bad_alloc();
  }
  if (done != 1) {
    throw EncodeError("x265 failed to encode the picture");
  }
  HevcPicture picture;
  std::uint64_t slice_bytes = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const ByteSpan span = span_of(nals[i]);
    const int type = static_cast<int>(nals[i].type);
    if (type == kNalPps) {
      picture.pps.push_back(span);
    } else if (is_slice(type)) {
      picture.slices.push_back(span);
      slice_bytes += span.size;
    }
  }
  if (!config_.inter) {
    if (!can_hold(header_, config_.width, config_.height, slice_bytes)) {  // x265 had no memory
      throw std::bad_alloc();
    }
    set_loop_filter_flag(nals, count);
  }
  for (std::size_t i = 0; i < planes.size(); ++i) {
    picture.reconstruction[i] = {static_cast<const std::byte*>(output_->planes[i]),
                                 output_->stride[i]};
  }
  return picture;
}

}  // namespace bpg
