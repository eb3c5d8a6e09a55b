"""The real codec's values with a surrogate's gradient, and what is built on the pair."""

from npp.gradient.pairing import BPG, Compressed, compress, decompress
from npp.gradient.refinement import (
    VIEWS,
    Refined,
    RefineStep,
    keep_prediction,
    mirrored,
    refine,
    zoomed,
)

__all__ = [
    "BPG",
    "VIEWS",
    "Compressed",
    "RefineStep",
    "Refined",
    "compress",
    "decompress",
    "keep_prediction",
    "mirrored",
    "refine",
    "zoomed",
]
