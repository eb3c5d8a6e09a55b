"""npp: the BPG codec inside a training loop, and the networks that prepare pictures for it.

There are two pairs of functions:

- :func:`encode` and :func:`decode` are for files: they turn pictures of any kind (Pillow, numpy, torch;
  lists of different sizes) into BPG files and back, with metadata and animations, without gradients.
- :func:`compress` is for networks: a batch (N, C, H, W) goes in, the decoded batch and its bits per pixel
  come out, both with gradients, and the files beside them. :func:`decompress` turns files of one size back
  into a batch.

Both pairs write the same bytes for the same pixels and options, and read each other's files.
:class:`Recipe` prepares pictures for a task before they are coded, so that a network needs fewer bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    import npp.allocation as allocation
    import npp.batch as batch
    import npp.config as config
    import npp.evaluation as evaluation
    import npp.files as files
    import npp.integrations as integrations
    import npp.photos as photos
    import npp.pillow as pillow
    import npp.recipes as recipes
    import npp.restoration as restoration
    import npp.tasks as tasks
    import npp.training as training
    import npp.transforms as transforms
    from npp.allocation import Allocator, importance, qp_map, share_bits
    from npp.batch import loss_curves, rate_curves
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
        TaskError,
        compress,
        compress_in_parts,
        decompress,
        keep_prediction,
        mirrored,
        refine,
        zoomed,
    )
    from npp.preprocessing import Preprocessor
    from npp.recipes import Recipe
    from npp.restoration import Restorer
else:
    # Importing npp imports none of them: `npp info` and `npp --help` do without torch, which takes seconds.
    _ROOMS = (
        "allocation",
        "batch",
        "codec",
        "config",
        "evaluation",
        "files",
        "gradient",
        "integrations",
        "photos",
        "pillow",
        "preprocessing",
        "recipes",
        "restoration",
        "tasks",
        "training",
        "transforms",
    )
    _CODEC = (
        "BPGError",
        "CodecOptions",
        "DecodeError",
        "EncodeError",
        "ImageInfo",
        "Metadata",
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
    )
    _GRADIENT = (
        "BPG",
        "VIEWS",
        "Compressed",
        "RefineStep",
        "Refined",
        "TaskError",
        "compress",
        "compress_in_parts",
        "decompress",
        "keep_prediction",
        "mirrored",
        "refine",
        "zoomed",
    )
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            **dict.fromkeys(_ROOMS),
            **dict.fromkeys(_CODEC, "codec"),
            **dict.fromkeys(_GRADIENT, "gradient"),
            **dict.fromkeys(("Allocator", "importance", "qp_map", "share_bits"), "allocation"),
            **dict.fromkeys(("loss_curves", "rate_curves"), "batch"),
            "Preprocessor": "preprocessing",
            "Recipe": "recipes",
            "Restorer": "restoration",
        },
    )

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
    "Restorer",
    "TaskError",
    "UnsupportedError",
    "__version__",
    "allocation",
    "batch",
    "build_config",
    "clear_encoder_cache",
    "compress",
    "compress_in_parts",
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
    "integrations",
    "keep_prediction",
    "loss_curves",
    "mirrored",
    "photos",
    "pillow",
    "probe",
    "qp_map",
    "rate_curves",
    "recipes",
    "refine",
    "restoration",
    "set_encoder_cache_limit",
    "set_max_pixels",
    "share_bits",
    "tasks",
    "training",
    "transforms",
    "zoomed",
]
