"""The planes that a 4:2:0 codec sees of RGB pictures: full-range BT.601 luma, and chroma at half the size."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_CR_TO_RED = 2 * (1 - _RED)
_CB_TO_BLUE = 2 * (1 - _BLUE)


class Planes(NamedTuple):
    """Y (N, 1, H, W), Cb and Cr (N, 1, H/2, W/2), on the pictures' scale; chroma around 0."""

    y: Tensor
    cb: Tensor
    cr: Tensor


def split_planes(x: Tensor) -> Planes:
    """Planes of (N, 3, H, W) RGB with even sizes; chroma is the mean of 2x2 pixels."""
    red, green, blue = torch.split(x, 1, dim=1)
    y = _RED * red + _GREEN * green + _BLUE * blue
    return Planes(y, F.avg_pool2d((blue - y) / _CB_TO_BLUE, 2), F.avg_pool2d((red - y) / _CR_TO_RED, 2))


def add_to_planes(x: Tensor, change: Planes) -> Tensor:
    """RGB pictures whose planes have changed by that much.

    What the planes do not show, the chroma's detail within 2x2 pixels, stays as it is. A change of zero
    gives x itself, bit for bit.
    """
    cb = _CB_TO_BLUE * F.interpolate(change.cb, scale_factor=2.0, mode="nearest")
    cr = _CR_TO_RED * F.interpolate(change.cr, scale_factor=2.0, mode="nearest")
    green = change.y - (_BLUE / _GREEN) * cb - (_RED / _GREEN) * cr
    return x + torch.cat([change.y + cr, green, change.y + cb], dim=1)
