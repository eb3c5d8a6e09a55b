"""Bits of a picture from its transform coefficients: one smooth model for all surrogates."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.hevc.dct import block_dct
from npp.hevc.planes import Plane

#: Width of the smaller blocks that the model looks at.
SMALL_BLOCK = 8
_LARGE_BLOCK = 16
_SHARPNESS = 2.0

#: Bits a pixel of headers, modes and flags, in the model's units: without it a picture of few bits
#: would get too much of the real rate's gradient, for all of its bits would count as coefficients'.
_OVERHEAD = 0.01


class _Bits(torch.autograd.Function):
    """0.25 log2(1 + ratio^4), summed over dimension 1.

    Its own gradient, ratio^3 / (1 + ratio^4), in fewer passes over memory than that of its parts.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(ratio: Tensor) -> Tensor:
        square = ratio.square()
        bits: Tensor = square.mul_(square).log1p_().sum(1)
        return bits * (0.25 / math.log(2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _slope(ctx.saved_tensors[0]) * (gradients[0] / math.log(2))[:, None]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return (_slope(ctx.saved_tensors[0]) * tangents[0]).sum(1) / math.log(2)


def _slope(ratio: Tensor) -> Tensor:
    square = ratio.square()
    return square * ratio / square.square().add_(1)


def _bits(coefficients: Tensor, step: Tensor) -> Tensor:
    """0.25 log2(1 + (2c / step)^4), summed over all but dimension 0; the step broadcasts.

    Above the step it grows as log2 |c|, the bits of a coded level; below it is nearly flat, for a
    coefficient that is quantised to nothing costs nothing.
    """
    return _Bits.apply(  # type: ignore[no-any-return, no-untyped-call]
        (coefficients * (_SHARPNESS / step)).flatten(1)
    )


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
        coefficients: of :func:`npp.hevc.dct.block_dct`.
        step: quantiser step of each block, broadcasting over them: (N or 1, rows or 1, 1, columns or 1, 1).

    Returns:
        (N,) bits, before any scaling to a real codec's.
    """
    dc, dc_step = coefficients[:, :, 0, :, 0], step[:, :, 0, :, 0]
    return _bits(coefficients, step) - _bits(dc, dc_step) + _bits(_dc_differences(dc), dc_step)


def picture_bpp(planes: list[Plane], pixels: int, small: list[Tensor] | None = None) -> Tensor:
    """Bits a pixel (N,) of pictures given as planes, each of ``pixels`` pixels.

    The mean of the models over 8x8 and 16x16 blocks: an encoder chooses between sizes, and a gradient
    that both agree on carries less of either's block grid. Plus a constant for what is not coefficients.

    Args:
        small: coefficients of the planes' blocks of :data:`SMALL_BLOCK` where they are known already.
    """
    if small is None:
        small = [block_dct(plane.samples, SMALL_BLOCK) for plane in planes]
    large = [block_dct(plane.samples, _LARGE_BLOCK) for plane in planes]
    bits = [
        coefficient_bits(coefficients, plane.steps_of(size))
        for size, of_planes in ((SMALL_BLOCK, small), (_LARGE_BLOCK, large))
        for plane, coefficients in zip(planes, of_planes, strict=True)
    ]
    return torch.stack(bits).sum(0) / (2 * pixels) + _OVERHEAD
