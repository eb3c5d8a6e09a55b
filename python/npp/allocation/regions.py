"""Importance of blocks from boxes and masks, for a user who knows what matters in a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.checks import MAX_QP, brief, number, whole
from npp.codec.qp_maps import MAP_BLOCK, map_size
from npp.hevc.padding import whole_blocks

MOST_WEIGHT = 1e12  #: a block that counts more makes all others nothing to :func:`npp.qp_map`


def _numbers(name: str, values: Any, allowed: str) -> Tensor:
    """A tensor of numbers that were given in rows.

    Raises:
        ValueError: they are no numbers, or no rows; ``allowed`` is for the message.
    """
    try:
        return torch.as_tensor(values if len(values) else [], dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):  # nothing with a length, words, or rows that differ
        raise ValueError(f"{name} must be {allowed}, not {brief(values)}") from None


def _boxes(boxes: Any) -> Tensor:
    """Boxes as a tensor (K, 4) of x1, y1, x2, y2.

    Raises:
        ValueError: they are no such boxes.
    """
    rows = _numbers("boxes", boxes, "rows x1, y1, x2, y2")
    if rows.shape == (4,):
        rows = rows[None]
    if rows.numel() and (rows.ndim != 2 or rows.shape[1] != 4):
        raise ValueError(f"boxes must be (K, 4), a row x1, y1, x2, y2 each, not {tuple(rows.shape)}")
    checked = rows.reshape(-1, 4)
    if not bool(torch.isfinite(checked).all()):
        raise ValueError(f"boxes must be finite, not {checked.tolist()}")
    if not bool((checked[:, :2] <= checked[:, 2:]).all()):
        raise ValueError(f"boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, not {checked.tolist()}")
    return checked


def _weights(weights: Any, count: int) -> list[float]:
    """A weight for each of so many boxes.

    Raises:
        ValueError: there is another number of weights, or one out of range.
    """
    allowed = f"a number or one for each of {count} boxes"
    if isinstance(weights, Real) or getattr(weights, "ndim", 1) == 0:
        weights = [weights] * count
    listed = _numbers("weights", weights, allowed).flatten().tolist()
    if len(listed) != count:
        raise ValueError(f"weights must be {allowed}, not {len(listed)}")
    return [number("weights", weight, 0, MOST_WEIGHT) for weight in listed]


def _covered(count: int, side: int, low: float, high: float) -> Tensor:
    """The part, 0 to 1, of each block along a side of ``side`` pixels that lies between two places.

    What reaches the picture's end reaches the end of its last block too, which the codec fills with padding.
    """
    if low >= side:
        return torch.zeros(count, dtype=torch.float64, device="cpu")
    if high >= side:
        high = count * MAP_BLOCK
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

    A block that a box covers whole, or up to the picture's edge, gets the box's weight, one that it covers in
    part the same part of it; where boxes overlap the greater counts. At the default strength a weight of 16
    means 6 qps less than outside.

    Args:
        size: height and width of the picture.
        boxes: (K, 4) x1, y1, x2, y2 in pixels, or one of them; they may reach out of the picture.
        weights: how important the inside is against the outside's 1, 0 to 1e12; a number or one each.
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
    importance = torch.zeros(rows, columns, dtype=torch.float64, device="cpu")
    covered = torch.zeros(rows, columns, dtype=torch.bool, device="cpu")
    for (x1, y1, x2, y2), weight in zip(checked.tolist(), _weights(weights, len(checked)), strict=True):
        down = _covered(rows, height, y1 - margin, y2 + margin)
        across = _covered(columns, width, x1 - margin, x2 + margin)
        coverage = down[:, None] * across[None]
        value = 1 + coverage * (weight - 1)
        importance = torch.where((coverage > 0) & (~covered | (value > importance)), value, importance)
        covered |= coverage > 0
    return torch.where(covered, importance, torch.ones_like(importance)).float()


def mask_importance(mask: Tensor, weight: float = 16.0) -> Tensor:
    """Importance of blocks from masks of what counts, for :func:`npp.qp_map`.

    Args:
        mask: (N, H, W) or (H, W), bool or 0 to 1: how much of each pixel counts.
        weight: of a block that counts whole against one that does not, 0 to 1e12.

    Returns:
        (N, ceil(H/16), ceil(W/16)), or (h, w), float32 on the mask's device: 1 + (weight - 1) * the part of
        the block that counts.

    Raises:
        TypeError: mask is no tensor of numbers.
        ValueError: a wrong shape or values outside 0 to 1.
    """
    weight = number("weight", weight, 0, MOST_WEIGHT)
    if not isinstance(mask, Tensor) or mask.is_complex():
        raise TypeError(f"mask must be a tensor, not {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.ndim not in (2, 3) or not all(mask.shape[-2:]):
        raise ValueError(f"mask must have shape (N, H, W) or (H, W), not {tuple(mask.shape)}")
    parts = mask.float()
    if not bool(((parts >= 0) & (parts <= 1)).all()):
        raise ValueError("mask must be within 0 and 1")
    planes = parts if parts.ndim == 3 else parts[None]
    importance = 1 + (weight - 1) * F.avg_pool2d(whole_blocks(planes[:, None], MAP_BLOCK), MAP_BLOCK)[:, 0]
    return importance if parts.ndim == 3 else importance[0]


def weight_for(offset: float, strength: float = 0.5) -> float:
    """The weight with which the inside becomes ``offset`` qps finer than the outside.

    Args:
        offset: qps, 0 to 51; for more than 6 :func:`npp.qp_map` needs a larger ``limit``, too.
        strength: of :func:`npp.qp_map`, above 0; small ones cannot reach large offsets.

    Raises:
        ValueError: a value out of its range, or it would take a weight above 1e12.
    """
    offset = number("offset", offset, 0, MAX_QP)
    strength = number("strength", strength, 0, math.inf)
    if not strength:
        raise ValueError("strength must be above 0: a map of strength 0 follows no weight")
    octaves = offset / (3 * strength)
    if octaves > math.log2(MOST_WEIGHT):
        most = 3 * strength * math.log2(MOST_WEIGHT)
        raise ValueError(f"offset must be at most {most:.4g} at strength {strength:g}, not {offset:g}")
    return float(2**octaves)
