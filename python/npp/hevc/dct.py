"""The orthonormal block DCT, as matrix products and as convolutions that exporters understand."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.hevc.padding import whole_blocks
from npp.torch_state import made_once


def _rows(size: int) -> list[list[float]]:
    """The orthonormal DCT-II basis, as rows (frequency, sample)."""
    return [
        [
            math.sqrt((1 if frequency == 0 else 2) / size)
            * math.cos(math.pi * frequency * (2 * i + 1) / (2 * size))
            for i in range(size)
        ]
        for frequency in range(size)
    ]


@made_once
def _basis(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    basis = torch.tensor(_rows(size), dtype=torch.float64, device="cpu")
    basis[0] = math.sqrt(2 / size) / math.sqrt(2)  # the value of earlier versions, to the last bit of float64
    return basis.to(device=device, dtype=dtype)


def block_dct(plane: Tensor, size: int) -> Tensor:
    """Coefficients of the square blocks of a plane.

    Args:
        plane: (N, H, W); the last row and column are repeated up to a multiple of ``size``.
        size: width and height of a block.

    Returns:
        (N, ceil(H/size), size, ceil(W/size), size): block row, vertical frequency, block column,
        horizontal frequency.
    """
    plane = whole_blocks(plane[:, None], size)[:, 0]
    count, height, width = plane.shape
    basis = _basis(size, plane.dtype, plane.device)
    rows = basis @ plane.reshape(count, height // size, size, width)
    return rows.view(count, height // size, size, width // size, size) @ basis.T


def block_idct(coefficients: Tensor, height: int, width: int) -> Tensor:
    """The inverse of :func:`block_dct`, cropped to (N, height, width)."""
    count, block_rows, size, block_columns, _ = coefficients.shape
    basis = _basis(size, coefficients.dtype, coefficients.device)
    rows = (coefficients @ basis).view(count, block_rows, size, block_columns * size)
    plane = (basis.T @ rows).view(count, block_rows * size, block_columns * size)
    return plane[:, :height, :width]


@made_once
def _kernels(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The basis as filters (size², 1, size, size), ordered by vertical frequency first.

    They are no buffer of a module, for that would lose its precision with ``module.half()``.
    """
    lines = torch.tensor(_rows(size), dtype=dtype, device="cpu")
    return torch.einsum("vy,hx->vhyx", lines, lines).reshape(-1, 1, size, size).to(device)


def forward_dct(plane: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Coefficients of the blocks of a plane (N, 1, H, W), sizes multiples of ``size``.

    Returns:
        DC (N, 1, H/size, W/size) and AC (N, size² - 1, H/size, W/size), ordered by vertical, then
        horizontal frequency.
    """
    coefficients = F.conv2d(plane, _kernels(size, plane.dtype, plane.device), stride=size)
    return coefficients[:, :1], coefficients[:, 1:]


def inverse_dct(ac: Tensor, size: int) -> Tensor:
    """The plane (N, 1, H, W) with those AC coefficients and a DC of 0."""
    # A pointwise convolution whose outputs are the block's pixels: 9 times as fast as a transposed one.
    pixels = F.conv2d(
        ac, _kernels(size, ac.dtype, ac.device)[1:].reshape(-1, size * size, 1, 1).transpose(0, 1)
    )
    return F.pixel_shuffle(pixels, size)


def frequencies(size: int, device: torch.device) -> Tensor:
    """The vertical and horizontal frequencies (size² - 1, 2) of the AC coefficients, 0 to 1."""
    axis = torch.arange(size, dtype=torch.float32, device=device) / (size - 1)
    return torch.cartesian_prod(axis, axis)[1:]
