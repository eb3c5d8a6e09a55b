"""The trivial prefilter that a learned one must beat: a Gaussian whose width depends on the qp."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import npp.checks as checks
from npp.preprocessing.filter_network import FilterNetwork

MAX_SIGMA = 8.0
_RADIUS_SIGMAS = 4
_TINY_SIGMA = 1e-6
_CHANNELS = 3


@dataclass(frozen=True)
class BlurSettings:
    """The settings of a ``Blur``.

    Attributes:
        sigmas: standard deviation in pixels, 0 (the picture as it is) to 8, by qp. Between the entries it is
            interpolated linearly; beyond them the nearest holds.
    """

    sigmas: dict[float, float] = field(default_factory=lambda: {34.0: 0.5})

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", checks.table("sigmas", self.sigmas, 0, MAX_SIGMA))


class Blur(FilterNetwork):
    """A separable Gaussian filter; the edge repeats. It has no parameters."""

    def __init__(self, settings: BlurSettings) -> None:
        super().__init__()
        self._sigmas = settings.sigmas
        self._radius = math.ceil(_RADIUS_SIGMAS * max(self._sigmas.values()))
        self.untraced_macs = float(2 * _CHANNELS * (2 * self._radius + 1))

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, defaults filled in."""
        return {"sigmas": dict(self._sigmas)}

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Blurs pictures (N, 3, H, W) with the sigmas of their qps (N,)."""
        taps = self._taps(qp)
        return self._filter(self._filter(x, taps, dim=-1), taps, dim=-2)

    def _taps(self, qp: Tensor) -> Tensor:
        """The filter's taps (2 * radius + 1, N, 1, 1, 1) for qps (N,); those of a picture sum to 1."""
        sigma = interpolate(self._sigmas, qp).clamp_min(_TINY_SIGMA)
        offset = torch.arange(-self._radius, self._radius + 1, dtype=qp.dtype, device=qp.device)
        taps = torch.exp(-0.5 * (offset[:, None] / sigma).square())
        return (taps / taps.sum(0))[..., None, None, None]

    def _filter(self, x: Tensor, taps: Tensor, dim: int) -> Tensor:
        """Filters pictures along one dimension, -1 or -2."""
        size, radius = x.shape[dim], self._radius
        padding = (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius)
        padded = F.pad(x, padding, mode="replicate")
        filtered = torch.zeros_like(x)
        for i, weight in enumerate(taps):
            filtered = filtered + weight * padded.narrow(dim, i, size)
        return filtered


def interpolate(table: dict[float, float], qp: Tensor) -> Tensor:
    """Interpolates a table at qps (N,): linearly between its sorted entries, constant beyond them."""
    qps, values = list(table), list(table.values())
    result = torch.full_like(qp, values[0])
    for i in range(len(qps) - 1):
        fraction = ((qp - qps[i]) / (qps[i + 1] - qps[i])).clamp(0, 1)
        result = result + fraction * (values[i + 1] - values[i])
    return result
