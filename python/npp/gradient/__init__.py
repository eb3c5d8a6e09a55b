"""The real codec's values with a surrogate's gradient, and what is built on the pair."""

from npp.gradient.in_parts import compress_in_parts
from npp.gradient.pairing import BPG, Compressed, compress, decompress
from npp.gradient.prediction import VIEWS, keep_prediction, mirrored, zoomed
from npp.gradient.refine_objective import RefineStep, TaskError
from npp.gradient.refinement import Refined, refine

__all__ = [
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
]
