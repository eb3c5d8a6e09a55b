"""Looks at a picture from elsewhere, for :func:`npp.keep_prediction`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn

View: TypeAlias = Callable[[Tensor], Tensor]

_MARGIN = 7  # this part of each side is cut off


def mirrored(x: Tensor) -> Tensor:
    """Pictures (..., W) with left and right exchanged. Not for text."""
    return x.flip(-1)


def zoomed(x: Tensor, vertical: float = 0.5, horizontal: float = 0.5) -> Tensor:
    """Six sevenths of each side of pictures (N, C, H, W), enlarged to their size.

    Args:
        x: the pictures.
        vertical, horizontal: where the part lies, 0 at the top or left to 1 at the bottom or right.
    """
    height, width = x.shape[-2:]
    cut = height // _MARGIN, width // _MARGIN
    top, left = round(vertical * cut[0]), round(horizontal * cut[1])
    part = x[..., top : top + height - cut[0], left : left + width - cut[1]]
    return nn.functional.interpolate(part, (height, width), mode="bilinear")


def _mirrored_corner(x: Tensor) -> Tensor:
    return zoomed(mirrored(x), 0, 0)


#: The mirror image, the middle, and two corners, one of them of the mirror image: four more looks.
VIEWS: tuple[View, ...] = (mirrored, zoomed, _mirrored_corner, partial(zoomed, vertical=1, horizontal=1))
