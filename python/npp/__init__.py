"""npp: the BPG codec inside a training loop, and the networks that prepare pictures for it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from npp.codec import (
    BPGError,
    CodecOptions,
    DecodeError,
    EncodeError,
    ImageInfo,
    Metadata,
    UnsupportedError,
    __version__,
    build_config,
    clear_encoder_cache,
    decode,
    decode_qp_map,
    encode,
    encode_animation,
    get_max_pixels,
    probe,
    set_encoder_cache_limit,
    set_max_pixels,
)
from npp.gradient import (
    BPG,
    VIEWS,
    Compressed,
    Refined,
    RefineStep,
    compress,
    decompress,
    keep_prediction,
    mirrored,
    refine,
    zoomed,
)
from npp.preprocessing import Preprocessor

if TYPE_CHECKING:
    import npp.allocation as allocation
    import npp.config as config
    import npp.evaluation as evaluation
    import npp.files as files
    import npp.photos as photos
    import npp.pillow as pillow
    import npp.recipes as recipes
    import npp.tasks as tasks
    import npp.training as training
    from npp.allocation import Allocator, importance, qp_map, rate_curves, share_bits
    from npp.recipes import Recipe

__all__ = [
    "BPG",
    "VIEWS",
    "Allocator",
    "BPGError",
    "CodecOptions",
    "Compressed",
    "DecodeError",
    "EncodeError",
    "ImageInfo",
    "Metadata",
    "Preprocessor",
    "Recipe",
    "RefineStep",
    "Refined",
    "UnsupportedError",
    "__version__",
    "allocation",
    "build_config",
    "clear_encoder_cache",
    "compress",
    "config",
    "decode",
    "decode_qp_map",
    "decompress",
    "encode",
    "encode_animation",
    "evaluation",
    "files",
    "get_max_pixels",
    "importance",
    "keep_prediction",
    "mirrored",
    "photos",
    "pillow",
    "probe",
    "qp_map",
    "rate_curves",
    "recipes",
    "refine",
    "set_encoder_cache_limit",
    "set_max_pixels",
    "share_bits",
    "tasks",
    "training",
    "zoomed",
]

# Rooms that need more than torch, numpy and Pillow, or that most programs never enter.
_WHEN_TOUCHED = frozenset(
    {"allocation", "config", "evaluation", "files", "photos", "pillow", "recipes", "tasks", "training"}
)

# Names of rooms that bring more along, with the room.
_NAMES_WHEN_TOUCHED = {
    "Allocator": "allocation",
    "Recipe": "recipes",
    "importance": "allocation",
    "qp_map": "allocation",
    "rate_curves": "allocation",
    "share_bits": "allocation",
}


def __getattr__(name: str) -> Any:
    if name in _WHEN_TOUCHED:
        return importlib.import_module(f"npp.{name}")
    if name in _NAMES_WHEN_TOUCHED:
        return getattr(importlib.import_module(f"npp.{_NAMES_WHEN_TOUCHED[name]}"), name)
    raise AttributeError(f"module 'npp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
