"""Which parts of a recipe are used, and what they make of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from npp.codec.image_inputs import CodecImage


@dataclass(frozen=True)
class Parts:
    """Which parts of a recipe are used; a part that the recipe lacks is not missed.

    Attributes:
        scale: code smaller where the rule says so.
        filter: the preprocessor, and the smoothing that follows the map.
        qp_map: the allocator; without its map nothing is smoothed either.
    """

    scale: bool = True
    filter: bool = True
    qp_map: bool = True


#: Nothing is left out.
ALL_PARTS = Parts()


class CodecInput(NamedTuple):
    """Pictures as the codec gets them.

    Attributes:
        x: (N, C, h, w), scaled and filtered.
        qp_map: (N, ceil(h/16), ceil(w/16)) offsets, or ``None``.
    """

    x: Tensor
    qp_map: Tensor | None


class ReadyPicture(NamedTuple):
    """One picture of any kind of samples, ready for the encoder.

    Attributes:
        picture: scaled, filtered and smoothed.
        qp_map: array (ceil(h/16), ceil(w/16)) of offsets, or ``None``.
    """

    picture: CodecImage
    qp_map: Any
