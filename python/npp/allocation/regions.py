"""Importance from somebody who knows where to look: boxes and masks with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.checks import brief, number, whole
from npp.codec.qp_maps import MAP_BLOCK, map_size
from npp.hevc.padding import whole_blocks


def _boxes(boxes: Any) -> Tensor:
    """(K, 4) x1, y1, x2, y2."""
    given = torch.as_tensor(boxes if len(boxes) else [], dtype=torch.float64, device="cpu")
    if given.shape == (4,):
        given = given[None]
    if given.numel() and (given.ndim != 2 or given.shape[1] != 4):
        raise ValueError(f"boxes must be (K, 4), a row x1, y1, x2, y2 each, not {tuple(given.shape)}")
    checked = given.reshape(-1, 4)
    if not bool(torch.isfinite(checked).all()):
        raise ValueError(f"boxes must be finite, not {checked.tolist()}")
    if not bool((checked[:, :2] <= checked[:, 2:]).all()):
        raise ValueError(f"boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, not {checked.tolist()}")
    return checked


def _weights(weights: Any, count: int) -> list[float]:
    if isinstance(weights, (int, float)):
        weights = [weights] * count
    given = torch.as_tensor(weights, dtype=torch.float64, device="cpu").flatten().tolist()
    if len(given) != count:
        raise ValueError(f"weights must be a number or one for each of {count} boxes, not {len(given)}")
    return [number("weights", weight, 0, 1e9) for weight in given]


def _covered(count: int, low: float, high: float) -> Tensor:
    """How much of each block along a side lies between two places, 0 to 1."""
    starts = torch.arange(count, dtype=torch.float64, device="cpu") * MAP_BLOCK
    inside = (starts + MAP_BLOCK).clamp_max(high) - starts.clamp_min(low)
    return inside.clamp_min(0) / MAP_BLOCK


def box_importance(
    size: Sequence[int],
    boxes: Any,
    weights: float | Sequence[float] | Tensor = 16.0,
    *,
    margin: float = 0.0,
) -> Tensor:
    """Importance of blocks from boxes, for :func:`npp.qp_map`; 1 where there is none.

    A block that a box covers whole gets the box's weight, one that it covers in part the same part of it;
    where boxes overlap the greater counts. At the default strength a weight of 16 means 6 qps less than
    outside.

    Args:
        size: height and width of the picture.
        boxes: (K, 4) x1, y1, x2, y2 in pixels, or one of them; they may reach out of the picture.
        weights: how important the inside is against the outside's 1, 0 to 1e9; a number or one each.
        margin: pixels by which boxes grow on every side, 0 to 4096.

    Returns:
        (ceil(H/16), ceil(W/16)) float32 on the CPU.

    Raises:
        ValueError: a size, a box or a weight that is not valid.
    """
    if not hasattr(size, "__len__") or len(size) != 2:
        raise ValueError(f"size must be (height, width), not {brief(size)}")
    height, width = (whole("size", side, 1, 2**20) for side in size)
    margin = number("margin", margin, 0, 4096)
    rows, columns = map_size(height, width)
    checked = _boxes(boxes)
    found = torch.zeros(rows, columns, dtype=torch.float64, device="cpu")
    seen = torch.zeros(rows, columns, dtype=torch.bool, device="cpu")
    for (x1, y1, x2, y2), weight in zip(checked.tolist(), _weights(weights, len(checked)), strict=True):
        down = _covered(rows, y1 - margin, min(y2 + margin, rows * MAP_BLOCK))
        across = _covered(columns, x1 - margin, min(x2 + margin, columns * MAP_BLOCK))
        part = down[:, None] * across[None]
        value = 1 + part * (weight - 1)
        found = torch.where((part > 0) & (~seen | (value > found)), value, found)
        seen |= part > 0
    return torch.where(seen, found, torch.ones_like(found)).float()


def mask_importance(mask: Tensor, weight: float = 16.0) -> Tensor:
    """Importance of blocks from masks of what counts, for :func:`npp.qp_map`.

    Args:
        mask: (N, H, W) or (H, W), bool or 0 to 1: how much of each pixel counts.
        weight: of a block that counts whole against one that does not, 0 to 1e9.

    Returns:
        (N, ceil(H/16), ceil(W/16)), or (h, w), float32 on the mask's device: 1 + (weight - 1) * the part of
        the block that counts.

    Raises:
        TypeError: mask is no tensor of numbers.
        ValueError: a wrong shape or values outside 0 to 1.
    """
    weight = number("weight", weight, 0, 1e9)
    if not isinstance(mask, Tensor) or mask.is_complex():
        raise TypeError(f"mask must be a tensor, not {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.ndim not in (2, 3) or not all(mask.shape[-2:]):
        raise ValueError(f"mask must have shape (N, H, W) or (H, W), not {tuple(mask.shape)}")
    parts = mask.float()
    if not bool(((parts >= 0) & (parts <= 1)).all()):
        raise ValueError("mask must be within 0 and 1")
    planes = parts if parts.ndim == 3 else parts[None]
    found = 1 + (weight - 1) * F.avg_pool2d(whole_blocks(planes[:, None], MAP_BLOCK), MAP_BLOCK)[:, 0]
    return found if parts.ndim == 3 else found[0]


def weight_for(offset: float, strength: float = 0.5) -> float:
    """The weight with which the inside becomes ``offset`` qps finer than the outside.

    Args:
        offset: qps, 0 to 51; for more than 6 :func:`npp.qp_map` needs a larger ``limit``, too.
        strength: of :func:`npp.qp_map`, above 0.
    """
    offset = number("offset", offset, 0, 51)
    strength = number("strength", strength, 0, math.inf)
    if not strength:
        raise ValueError("strength must be above 0: a map of strength 0 follows no weight")
    return float(2 ** (offset / (3 * strength)))
