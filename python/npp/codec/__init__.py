"""Files and tensors: encoding, decoding and probing of BPG, its options, metadata and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.codec.animation import encode_animation
    from npp.codec.build import __version__, build_config
    from npp.codec.decoding import decode, probe
    from npp.codec.encoding import encode
    from npp.codec.errors import BPGError, DecodeError, EncodeError, UnsupportedError
    from npp.codec.limits import (
        clear_encoder_cache,
        get_max_pixels,
        set_encoder_cache_limit,
        set_max_pixels,
    )
    from npp.codec.metadata import ImageInfo, Metadata
    from npp.codec.options import CodecOptions
    from npp.codec.qp_maps import decode_qp_map
    from npp.codec.round_trip import RoundTrip, start_round_trip
else:
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            "encode_animation": "animation",
            "__version__": "build",
            "build_config": "build",
            "decode": "decoding",
            "probe": "decoding",
            "encode": "encoding",
            "BPGError": "errors",
            "DecodeError": "errors",
            "EncodeError": "errors",
            "UnsupportedError": "errors",
            "clear_encoder_cache": "limits",
            "get_max_pixels": "limits",
            "set_encoder_cache_limit": "limits",
            "set_max_pixels": "limits",
            "ImageInfo": "metadata",
            "Metadata": "metadata",
            "CodecOptions": "options",
            "decode_qp_map": "qp_maps",
            "RoundTrip": "round_trip",
            "start_round_trip": "round_trip",
        },
    )

__all__ = [
    "BPGError",
    "CodecOptions",
    "DecodeError",
    "EncodeError",
    "ImageInfo",
    "Metadata",
    "RoundTrip",
    "UnsupportedError",
    "__version__",
    "build_config",
    "clear_encoder_cache",
    "decode",
    "decode_qp_map",
    "encode",
    "encode_animation",
    "get_max_pixels",
    "probe",
    "set_encoder_cache_limit",
    "set_max_pixels",
    "start_round_trip",
]
