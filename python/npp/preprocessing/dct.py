"""The orthonormal block DCT with frequencies as channels, as convolutions that exporters understand."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _line(frequency: int, size: int) -> list[float]:
    norm = math.sqrt((1 if frequency == 0 else 2) / size)
    return [norm * math.cos(math.pi * frequency * (2 * i + 1) / (2 * size)) for i in range(size)]


def _kernels(size: int, like: Tensor) -> Tensor:
    """(size², 1, size, size), vertical frequency first.

    Made anew each time: a buffer would lose its precision with ``module.half()``.
    """
    lines = torch.tensor([_line(frequency, size) for frequency in range(size)], dtype=like.dtype)
    return torch.einsum("vy,hx->vhyx", lines, lines).reshape(-1, 1, size, size).to(like.device)


def forward_dct(plane: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Coefficients of the blocks of a plane (N, 1, H, W), sizes multiples of ``size``.

    Returns:
        DC (N, 1, H/size, W/size) and AC (N, size² - 1, H/size, W/size), ordered by vertical, then
        horizontal frequency.
    """
    coefficients = F.conv2d(plane, _kernels(size, plane), stride=size)
    return coefficients[:, :1], coefficients[:, 1:]


def inverse_dct(ac: Tensor, size: int) -> Tensor:
    """The plane (N, 1, H, W) with those AC coefficients and a DC of 0."""
    # A pointwise convolution whose outputs are the block's pixels: 9 times as fast as a transposed one.
    pixels = F.conv2d(ac, _kernels(size, ac)[1:].reshape(-1, size * size, 1, 1).transpose(0, 1))
    return F.pixel_shuffle(pixels, size)


def frequencies(size: int) -> Tensor:
    """(size² - 1, 2): vertical and horizontal frequency of the AC coefficients, 0 to 1."""
    axis = torch.arange(size) / (size - 1)
    return torch.cartesian_prod(axis, axis)[1:]
