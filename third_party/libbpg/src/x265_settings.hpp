#pragma once

#include "hevc_encoder.hpp"
#include "x265_api.hpp"

namespace bpg {

/// x265's parameters for one picture a call, one thread, a QP that the caller sets (constant, or
/// with offsets by block), everything that BPG prescribes, and the search settings of the effort
/// ladder. Throws EncodeError for an unknown x265 option.
ParamPtr x265_settings(const x265_api& api, const HevcConfig& config);

}  // namespace bpg
