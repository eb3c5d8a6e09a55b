#pragma once

#include "bpg/picture.hpp"

namespace bpg {

/// What import_image met among floating-point samples. Values outside [0, 1] are clamped and NaN
/// becomes 0; the caller decides whether that is an error.
struct RangeReport {
  bool outside = false;  ///< at least one value below 0 or above 1 (infinities included)
  bool nan = false;
};

/// Converts an image to the planes of `dst` in one pass: quantisation, colour conversion, chroma
/// resampling and alpha, bit exact to the arithmetic of bpgenc (see README.md). No intermediate
/// image is made; scratch memory is a few rows.
///
/// Floats are quantised as floor(x * (2^b - 1) + 0.5) with b = 8, or 16 when the picture's bit
/// depth is above 8 (float16 and float32 in float arithmetic, float64 in double).
/// The channels of `src` and the chroma of `dst` need not match: gray sources are spread over
/// R = G = B; a colour source into Chroma::gray keeps its luma (BT.601 unless the format says
/// otherwise). With Alpha::none a fourth channel is ignored; with alpha and no fourth channel the
/// plane is opaque. Alpha::premultiplied multiplies the colour by alpha before conversion.
/// Only the width x height area of each plane is written (see Picture::extend_edges).
/// Throws EncodeError when sizes differ, channels are not 1, 3 or 4, or Alpha::w_plane is asked
/// for.
RangeReport import_image(const ConstImageView& src, const MutablePictureView& dst);

/// Converts the planes of `src` to an image in one pass, bit exact to the output of the reference
/// decoder (rgb8/rgba8 for u8, rgb16/rgba16 for u16).
///
/// Floats are v / 255 of the 8-bit output when the picture's bit depth is 8 and v / 65535 of the
/// 16-bit output above, rounded to the sample type. Channels: 1 takes the luma plane (a gray
/// picture; for a colour picture throws DecodeError), 3 drops alpha without compositing, 4 adds
/// alpha, opaque where the picture has none; there, colour of a premultiplied picture is divided by
/// alpha. Colour of Alpha::w_plane is multiplied by W, whatever the channels.
/// Throws DecodeError when sizes differ or channels are not 1, 3 or 4.
void export_image(const PictureView& src, const ImageView& dst);

/// How long encoding a picture takes compared with others at the same options: its pixels, weighted
/// by how much neighbours differ. Reads one channel of every 16th row.
[[nodiscard]] double encoding_cost(const ConstImageView& image);

}  // namespace bpg
