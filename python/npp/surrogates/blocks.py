"""The orthonormal block DCT of a plane, and its inverse."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=32)
def _basis(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """DCT-II basis (frequency, sample), orthonormal."""
    sample = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * sample[:, None] * (2 * sample + 1) / (2 * size)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
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
    height, width = plane.shape[-2:]
    bottom, right = -height % size, -width % size
    if bottom or right:
        plane = F.pad(plane[:, None], (0, right, 0, bottom), mode="replicate")[:, 0]
    count, height, width = plane.shape
    basis = _basis(size, plane.dtype, plane.device)
    rows = basis @ plane.reshape(count, height // size, size, width)
    return rows.view(count, height // size, size, width // size, size) @ basis.T


def block_idct(coefficients: Tensor, height: int, width: int) -> Tensor:
    """Inverse of :func:`block_dct`, cropped to (N, height, width)."""
    count, block_rows, size, block_columns, _ = coefficients.shape
    basis = _basis(size, coefficients.dtype, coefficients.device)
    rows = (coefficients @ basis).view(count, block_rows, size, block_columns * size)
    plane = (basis.T @ rows).view(count, block_rows * size, block_columns * size)
    return plane[:, :height, :width]
