"""Turns the importance of blocks into offsets of the quantiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.checks import MAX_QP, flag, number
from npp.torch_state import full_precision

_QP_PER_OCTAVE = 3.0  # twice the importance allows half the squared step: 6 log2(sqrt(2)) qps
_DYNAMIC_RANGE = 2.0**-40  # of a picture's mean importance; less is as good as nothing
_RADIUS = 3.0  # of the smoothing filter, in sigmas


def check_importance(importance: Tensor) -> None:
    """Raises TypeError or ValueError unless importance is (N, h, w) or (h, w), finite and 0 or more."""
    if not isinstance(importance, Tensor) or not importance.is_floating_point():
        kind = getattr(importance, "dtype", type(importance).__name__)
        raise TypeError(f"importance must be a floating tensor (N, h, w), not {kind}")
    if importance.ndim not in (2, 3) or not all(importance.shape[-2:]):
        raise ValueError(f"importance must have shape (N, h, w) or (h, w), not {tuple(importance.shape)}")
    if importance.numel() and not bool((torch.isfinite(importance) & (importance >= 0)).all()):
        raise ValueError("importance must be finite and 0 or more everywhere")


def log_importance(importance: Tensor) -> Tensor:
    """The log2 (N, h, w) of an importance, at least float32; blocks of importance 0 get a very small one."""
    wide = importance.to(torch.promote_types(importance.dtype, torch.float32))
    least = wide.mean((-2, -1), keepdim=True) * _DYNAMIC_RANGE
    return torch.log2(torch.maximum(wide, least).clamp_min(torch.finfo(wide.dtype).tiny))


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Smooths maps (N, h, w) by a Gaussian over blocks; outside of a picture its border repeats."""
    radius = math.ceil(_RADIUS * sigma)
    if not radius:
        return maps
    places = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-places.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(maps[:, None], (radius,) * 4, mode="replicate")
    with full_precision(maps):
        rows = F.conv2d(padded, kernel[None, None, :, None])
        return F.conv2d(rows, kernel[None, None, None])[:, 0]


def centred(maps: Tensor) -> Tensor:
    """Subtracts the mean of each map (h, w)."""
    return maps - maps.mean((-2, -1), keepdim=True)


def offsets_of(logarithms: Tensor, *, strength: float, limit: float) -> Tensor:
    """Quantiser offsets (N, h, w) from log2 importance, clipped to the limit and then moved to mean 0."""
    return centred((-_QP_PER_OCTAVE * strength * centred(logarithms)).clamp(-limit, limit))


@overload
def qp_map(
    importance: Tensor, strength: float = 0.5, limit: float = 6, *, sigma: float = 0.7, rounded: bool = True
) -> Tensor: ...


@overload
def qp_map(
    importance: Sequence[Tensor],
    strength: float = 0.5,
    limit: float = 6,
    *,
    sigma: float = 0.7,
    rounded: bool = True,
) -> list[Tensor]: ...


def qp_map(
    importance: Tensor | Sequence[Tensor],
    strength: float = 0.5,
    limit: float = 6,
    *,
    sigma: float = 0.7,
    rounded: bool = True,
) -> Tensor | list[Tensor]:
    """Makes offsets of the quantiser: lower where a block is important, higher where it is not.

    offset = -3 strength log2(importance / its geometric mean over the picture). The logarithms are smoothed
    before; the offsets are clipped to ``limit``, moved so that their mean is 0, and rounded. A strength of 1
    would be right if bits and errors followed the formulas for fine quantisation; half of that saved most.

    Args:
        importance: (N, h, w) or (h, w), 0 or more; or a list of such where pictures differ in size. Only
            its ratios within a picture count.
        strength: 0 or more; 0 is a map of zeros.
        limit: greatest offset, 0 to 51, before the means are taken off again.
        sigma: of the Gaussian that smooths the logarithms, in blocks, 0 to 16; 0 leaves them.
        rounded: to whole qps, as the codec takes them. Not rounded, the map is differentiable.

    Returns:
        The offsets, of the importance's shape and device, in qp units, at least float32. Their mean over a
        picture is 0 but for the rounding. Equal importance everywhere gives zeros.

    Raises:
        TypeError: importance is no floating tensor.
        ValueError: a wrong shape, importance that is negative or not finite, or a setting out of its range.
    """
    number("strength", strength, 0, math.inf)
    number("limit", limit, 0, MAX_QP)
    number("sigma", sigma, 0, 16)
    flag("rounded", rounded)
    if not isinstance(importance, Tensor) and isinstance(importance, Sequence):
        return [qp_map(item, strength, limit, sigma=sigma, rounded=rounded) for item in importance]
    check_importance(importance)
    if not importance.numel():
        return importance.to(torch.promote_types(importance.dtype, torch.float32))
    maps = importance if importance.ndim == 3 else importance[None]
    offsets = offsets_of(smoothed(log_importance(maps), sigma), strength=strength, limit=limit)
    offsets = offsets.round() if rounded else offsets
    return offsets if importance.ndim == 3 else offsets[0]
