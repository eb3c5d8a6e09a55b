"""Which parts of a recipe are used, and what they make of pictures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from torch import Tensor

from npp.checks import brief, flags


@dataclass(frozen=True)
class Parts:
    """Which parts of a recipe are used; a part that the recipe lacks is not missed.

    Attributes:
        scale: code smaller where the rule says so.
        filter: the preprocessor.
        qp_map: the allocator.
        restorer: what stands behind the decoder.

    Raises:
        ValueError: one is neither True nor False.
    """

    scale: bool = True
    filter: bool = True
    qp_map: bool = True
    restorer: bool = True

    def __post_init__(self) -> None:
        flags(self, *(part.name for part in fields(self)))


#: What the constructor of a recipe calls the parts.
ARGUMENTS = {"scale": "scale", "filter": "preprocessor", "qp_map": "allocator", "restorer": "restorer"}

#: Nothing is left out.
ALL_PARTS = Parts()


def check_parts(parts: object) -> None:
    """Raises TypeError for anything but :class:`Parts`."""
    if not isinstance(parts, Parts):
        raise TypeError(f"parts must be npp.recipes.Parts, such as Parts(scale=False), not {brief(parts)}")


class CodecInput(NamedTuple):
    """Pictures as the codec gets them.

    Attributes:
        x: (N, C, h, w), scaled and filtered.
        qp_map: (N, ceil(h/16), ceil(w/16)) offsets, or ``None``.
    """

    x: Tensor
    qp_map: Tensor | None
