"""npp: the BPG codec inside a training loop, and the networks that prepare pictures for it."""

from npp._build import __version__, build_config
from npp.codec import decode, encode, encode_animation, probe
from npp.compression import BPG, Compressed, compress, decompress
from npp.encoder_cache import clear_encoder_cache, set_encoder_cache_limit
from npp.errors import BPGError, DecodeError, EncodeError, UnsupportedError
from npp.limits import get_max_pixels, set_max_pixels
from npp.metadata import ImageInfo, Metadata
from npp.options import CodecOptions
from npp.preprocessing import Preprocessor
from npp.refinement import Refined, RefineStep, keep_prediction, refine
from npp.views import VIEWS, mirrored, zoomed

__all__ = [
    "BPG",
    "VIEWS",
    "BPGError",
    "CodecOptions",
    "Compressed",
    "DecodeError",
    "EncodeError",
    "ImageInfo",
    "Metadata",
    "Preprocessor",
    "RefineStep",
    "Refined",
    "UnsupportedError",
    "__version__",
    "build_config",
    "clear_encoder_cache",
    "compress",
    "decode",
    "decompress",
    "encode",
    "encode_animation",
    "get_max_pixels",
    "keep_prediction",
    "mirrored",
    "probe",
    "refine",
    "set_encoder_cache_limit",
    "set_max_pixels",
    "zoomed",
]
