#pragma once

// libavcodec, checked for the versions that this library is written for: FFmpeg 5 (59) to 9 (63).
// What it uses of them, sending packets, receiving frames, a buffer callback and error flags, is
// the same in all.
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
}

#if LIBAVCODEC_VERSION_MAJOR < 59
#error "libavcodec 59 (FFmpeg 5.0) or later is needed"
#endif
