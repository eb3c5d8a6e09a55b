"""Bits of a picture from its transform coefficients: one smooth model for all surrogates."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.surrogates.blocks import block_dct
from npp.surrogates.planes import Plane

_BLOCK_SIZES = (8, 16)
_SHARPNESS = 2.0


def _bits(coefficients: Tensor, step: Tensor) -> Tensor:
    """0.25 log2(1 + (2c / step)^4), summed over all but dimension 0.

    Above the step it grows as log2 |c|, the bits of a coded level; below it is nearly flat, for a
    coefficient that is quantised to nothing costs nothing.
    """
    ratio = coefficients.flatten(1) * (_SHARPNESS / step)[:, None]
    return torch.log1p(ratio.square().square()).sum(1) * (0.25 / math.log(2))


def _dc_differences(dc: Tensor) -> Tensor:
    """Each block's DC (N, rows, columns) less the mean of the blocks above and to the left of it."""
    above = F.pad(dc[:, :-1], (0, 0, 1, 0))
    left = F.pad(dc[:, :, :-1], (1, 0))
    neighbours = torch.full_like(dc[:1], 2)
    neighbours[:, 0] -= 1
    neighbours[:, :, 0] -= 1
    return dc - (above + left) / neighbours.clamp_min(1)


def coefficient_bits(coefficients: Tensor, step: Tensor) -> Tensor:
    """Bits of one plane, the DC of a block counted by its difference to the neighbours.

    Args:
        coefficients: of :func:`npp.surrogates.blocks.block_dct`.
        step: (N,) quantiser step.

    Returns:
        (N,) bits, before any scaling to a real codec's.
    """
    dc = coefficients[:, :, 0, :, 0]
    return _bits(coefficients, step) - _bits(dc, step) + _bits(_dc_differences(dc), step)


def picture_bpp(planes: list[Plane], pixels: int) -> Tensor:
    """Bits a pixel (N,) of pictures given as planes, each of ``pixels`` pixels.

    The mean of the models over 8x8 and 16x16 blocks: an encoder chooses between sizes, and a gradient
    that both agree on carries less of either's block grid.
    """
    bits = [
        coefficient_bits(block_dct(plane.samples, size), plane.step)
        for plane in planes
        for size in _BLOCK_SIZES
    ]
    return torch.stack(bits).sum(0) / (len(_BLOCK_SIZES) * pixels)
