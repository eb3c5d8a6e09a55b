#include "x265_settings.hpp"

#include <algorithm>
#include <string>

#include "bpg/error.hpp"
#include "cpu.hpp"

namespace bpg {
namespace {

// Tools of x265 for inter pictures only (motion search and the like), by effort: they matter to
// animations and change nothing in a still.
constexpr const char* kInterPresets[] = {"ultrafast", "superfast", "veryfast", "faster",
                                         "fast",      "medium",    "slow",     "slower",
                                         "veryslow",  "placebo"};

// Every setting that matters to an intra picture, so that a ladder is independent of x265's
// presets.
constexpr const char* kIntraDefaults =
    "rd=2:ctu=32:min-cu-size=8:max-tu-size=32:tu-intra-depth=1:rdoq-level=0:fast-intra=1:sao=0:"
    "limit-sao=0:signhide=1:"
    "tskip=0:tskip-fast=0:strong-intra-smoothing=1:rskip=1:rd-refine=0:deblock=0,0";

// The ladders: what benchmarks/effort_search.py found on the frontier of rate-distortion and time,
// by PSNR of luma and of RGB, figures in docs/performance.md. Effort 8 of kSsimLadder is what
// x265's veryslow does to a still, bpgenc's default. fast-intra and rskip matter to animations
// only.
constexpr const char* kSsimLadder[] = {
    "min-cu-size=16:ctu=16:rd=1:signhide=0",
    "min-cu-size=16:ctu=16:rd=1:tu-intra-depth=2",
    "min-cu-size=16:ctu=16:rd=1:tu-intra-depth=3",
    "min-cu-size=16:ctu=16:rd=1:tu-intra-depth=3:rdoq-level=2",
    "ctu=16:rd=1",
    "ctu=64:rd=1:sao=1:deblock=-1,-1",
    "ctu=32:rd=1:rdoq-level=2",
    "ctu=64:rd=1:rdoq-level=2:sao=1:strong-intra-smoothing=0:deblock=-1,-1",
    "ctu=64:rdoq-level=2:sao=1:rd=6:fast-intra=0:tu-intra-depth=3",
    "ctu=64:rdoq-level=2:sao=1:rd=6:fast-intra=0:tu-intra-depth=3:deblock=-1,-1",
};
// For networks: no RDOQ, which takes what they look at for noise, and chroma three steps finer.
constexpr const char* kMachineTools = "cbqpoffs=-3:crqpoffs=-3";
constexpr const char* kMachineLadder[] = {
    "min-cu-size=16:ctu=16:signhide=0",
    "min-cu-size=16:ctu=16:tu-intra-depth=2",
    "min-cu-size=16:ctu=16:tu-intra-depth=3",
    "ctu=16:signhide=0",
    "sao=1",
    "ctu=64:sao=1",
    "ctu=64:sao=1",
    "ctu=64:sao=1",
    "ctu=64:sao=1",
    "ctu=64:sao=1",
};

void set_option(const x265_api& api, x265_param& param, const std::string& name,
                const std::string& value) {
  if (api.param_parse(&param, name.c_str(), value.c_str()) != 0) {
    throw EncodeError("x265: option '" + name + "=" + value +
                      "' is not known to x265 or its value is not allowed");
  }
}

// "name=value:name=value", as x265's own command line takes parameters.
void apply_list(const x265_api& api, x265_param& param, const std::string& list) {
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    const std::string item = list.substr(begin, end - begin);
    const std::size_t equals = item.find('=');
    set_option(api, param, item.substr(0, equals),
               equals == std::string::npos ? "1" : item.substr(equals + 1));
    begin = end + 1;
  }
}

// What a user chose in place of the ladder.
void set_strengths(x265_param& p, const HevcConfig& config) {
  if (config.deblock) {
    p.bEnableLoopFilter = 1;
    p.deblockingFilterTCOffset = *config.deblock;
    p.deblockingFilterBetaOffset = *config.deblock;
  }
  if (config.chroma_qp_offset) {
    p.cbQpOffset = *config.chroma_qp_offset;
    p.crQpOffset = *config.chroma_qp_offset;
  }
}

void one_picture_one_thread(x265_param& p) {
  x265_api_differences::set_text(p.numaPools, "none");
  p.frameNumThreads = 1;
  p.bEnableWavefront = 0;
  p.bDistributeModeAnalysis = 0;
  p.bDistributeMotionEstimation = 0;
  p.lookaheadDepth = 0;
  p.lookaheadSlices = 0;
  p.lookaheadThreads = 0;
  p.maxSlices = 1;
  p.logLevel = X265_LOG_NONE;
  p.bEnablePsnr = 0;
  p.bEnableSsim = 0;
}

void constant_qp(x265_param& p) {
  p.rc.rateControlMode = X265_RC_CQP;
  p.rc.qp = 29;  // every picture brings its own
  p.rc.aqMode = X265_AQ_NONE;
  p.rc.cuTree = 0;
  p.rc.bStatRead = 0;
  p.rc.bStatWrite = 0;
}

// x265 adds offsets to what its adaptive quantisation finds, but only where that is on, and never
// under constant QP. So it is on and finds next to nothing; every picture still brings its own QP.
void block_qps(x265_param& p) {
  p.rc.rateControlMode = X265_RC_CRF;
  p.rc.rfConstant = 29;
  p.rc.aqMode = X265_AQ_VARIANCE;
  p.rc.aqStrength = 1e-9;
  p.rc.hevcAq = 0;
  p.rc.vbvMaxBitrate = 0;
  p.rc.vbvBufferSize = 0;
  p.bAQMotion = 0;
  p.rc.qgSize = std::max(static_cast<std::uint32_t>(kQpMapBlock), p.minCUSize);
}

void picture_types(x265_param& p, bool inter) {
  p.bframes = 0;
  p.bFrameAdaptive = 0;
  p.bBPyramid = 0;
  p.bOpenGOP = 0;
  p.scenecutThreshold = 0;
  p.maxNumReferences = 1;
  p.bEnableWeightedPred = 0;
  p.bEnableWeightedBiPred = 0;
  p.keyframeMax = inter ? -1 : 1;
  p.keyframeMin = inter ? 0 : 1;
}

// The fields of the SPS that BPG does not carry and every decoder assumes.
void what_bpg_implies(x265_param& p) {
  p.bEnableRectInter = 1;
  p.bEnableAMP = 1;
  p.bEnableTemporalMvp = 1;
  p.tuQTMaxInterDepth = p.tuQTMaxIntraDepth;
  x265_api_differences::set_text(p.scalingLists, nullptr);
  p.log2MaxPocLsb = 8;
  p.interlaceMode = 0;
  p.bEnableTemporalSubLayers = 0;
}

void bare_stream(x265_param& p) {
  p.bAnnexB = 1;
  p.bRepeatHeaders = 1;
  p.bEnableAccessUnitDelimiters = 0;
  p.bEmitHRDSEI = 0;
  p.bEmitInfoSEI = 0;
  p.decodedPictureHashSEI = 0;
  p.bEmitVUITimingInfo = 0;
  p.bEmitVUIHRDInfo = 0;
  p.bEmitIDRRecoverySEI = 0;
  p.bAllowNonConformance = 1;  // stills may be larger than any video level
}

// x265 wants at least one CTU, and small pictures get smaller blocks rather than much padding.
void fit_blocks(x265_param& p, int width, int height, bool inter) {
  const auto padded = [&p](int side) {
    const int block = static_cast<int>(p.minCUSize);
    return static_cast<std::uint32_t>((side + block - 1) / block * block);
  };
  if (std::min(padded(width), padded(height)) < 16) {
    p.minCUSize = 16;
  }
  const std::uint32_t smallest = std::min(padded(width), padded(height));
  while (p.maxCUSize > 16 && p.maxCUSize > smallest) {
    p.maxCUSize /= 2;
  }
  // x265 does not fill the corners beside a picture of one column of blocks, where the next picture
  // looks (codes_intra_only).
  while (inter && p.maxCUSize > 16 && p.maxCUSize >= padded(width)) {
    p.maxCUSize /= 2;
  }
  if (p.maxCUSize == 16) {
    // libavcodec, which most readers of HEVC are built on, gets the chroma of subsampled pictures
    // wrong when 16x16 blocks meet SAO.
    p.bEnableSAO = 0;
  }
  p.minCUSize = std::min(p.minCUSize, p.maxCUSize);
  p.maxTUSize = std::min(p.maxTUSize, p.maxCUSize);
  std::uint32_t max_depth = 1;
  while ((4U << max_depth) <= p.maxCUSize) {
    ++max_depth;
  }
  p.tuQTMaxIntraDepth = std::min(p.tuQTMaxIntraDepth, max_depth);
  p.sourceWidth = static_cast<int>(padded(width));
  p.sourceHeight = static_cast<int>(padded(height));
}

}  // namespace

ParamPtr x265_settings(const x265_api& api, const HevcConfig& config) {
  ParamPtr owned(api.param_alloc(), {&api});
  if (!owned) {
    throw EncodeError("x265 is out of memory");
  }
  x265_param& param = *owned;
  const char* preset = kInterPresets[config.effort];
  if (api.param_default_preset(&param, preset, "ssim") != 0) {
    throw EncodeError("x265: preset '" + std::string(preset) + "' is not known to x265");
  }
  apply_list(api, param, kIntraDefaults);
  if (config.tune == Tune::machine) {
    apply_list(api, param, kMachineTools);
    apply_list(api, param, kMachineLadder[config.effort]);
  } else {
    apply_list(api, param, kSsimLadder[config.effort]);
  }
  if (splits_256_bit()) {
    param.cpuid &= ~X265_CPU_AVX2;
  }
  set_strengths(param, config);
  apply_list(api, param, config.x265);
  if (config.psy_rd > 0) {
    param.psyRd = config.psy_rd;  // as text it would be read with the program's decimal comma
    param.rdLevel = std::max(param.rdLevel, 3);  // below that x265 decides nothing by it
  }
  one_picture_one_thread(param);
  constant_qp(param);
  picture_types(param, config.inter);
  bare_stream(param);
  param.internalBitDepth = config.bit_depth;
  param.internalCsp = config.chroma_format_idc;
  param.fpsNum = 25;
  param.fpsDenom = 1;
  param.bLossless = config.lossless ? 1 : 0;
  fit_blocks(param, config.width, config.height, config.inter);
  what_bpg_implies(param);
  if (config.inter) {
    // Below that, inter pictures lose tools that BPG implies.
    param.rdLevel = std::max(param.rdLevel, 2);
  }
  // The same bytes, sooner, but only where all blocks of an intra picture have one QP.
  param.bEnableSplitRdSkip = config.inter || config.qp_maps ? 0 : 1;
  if (config.qp_maps) {
    block_qps(param);
  }
  return owned;
}

}  // namespace bpg
