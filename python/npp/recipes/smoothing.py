"""Detail that goes before the codec where a map spends few bits on it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from npp.checks import number
from npp.codec.qp_maps import MAP_BLOCK

_MAX_QP = 51.0
_RADIUS = 2.5  # of the Gaussian, in sigmas


@dataclass(frozen=True)
class Smoothing:
    """Blurs a picture where its map asks for a coarse quantiser.

    A coarse quantiser leaves little of fine detail, and what it leaves are artefacts that cost bits and that
    networks take for something. Where the offset is ``first`` or less the picture stays as it is, from
    ``full`` on it is blurred by a Gaussian, and between both it is mixed; offsets are interpolated between
    the middles of blocks.

    Attributes:
        sigma: of the Gaussian, in pixels of the coded picture, 0.3 to 16.
        first, full: offsets in qp units, -51 to 51; ``full`` is the greater one.

    Raises:
        ValueError: a value out of its range.
    """

    sigma: float = 1.5
    first: float = 1.0
    full: float = 4.0

    def __post_init__(self) -> None:
        number("sigma", self.sigma, 0.3, 16)
        number("first", self.first, -_MAX_QP, _MAX_QP)
        number("full", self.full, -_MAX_QP, _MAX_QP)
        if not self.first < self.full:
            raise ValueError(f"full must be above first, {self.first:g}, not {self.full:g}")

    def __call__(self, x: Tensor, qp_map: Tensor) -> Tensor:
        """Pictures with less detail.

        Args:
            x: (N, C, H, W) floats; a fourth channel is alpha and stays as it is.
            qp_map: (N, ceil(H/16), ceil(W/16)) offsets, as :meth:`npp.Allocator.forward` gives them.

        Returns:
            (N, C, H, W) of x's dtype, differentiable with respect to both. What a picture becomes does not
            depend on its neighbours in the batch.
        """
        part = ((qp_map.to(x.dtype) - self.first) / (self.full - self.first)).clamp(0, 1)
        part = _at_pixels(part, x.shape[-2], x.shape[-1])
        colours = min(x.shape[1], 3)
        planes = (x[:, place : place + 1] for place in range(colours))
        smooth = [torch.lerp(plane, blurred(plane, self.sigma), part) for plane in planes]
        return torch.cat([*smooth, x[:, colours:]], dim=1)

    def as_mapping(self) -> dict[str, Any]:
        """The arguments, for files."""
        return asdict(self)


def _at_pixels(blocks: Tensor, height: int, width: int) -> Tensor:
    """(N, 1, height, width) of values (N, h, w) for blocks."""
    size = [side * MAP_BLOCK for side in blocks.shape[-2:]]
    return F.interpolate(blocks[:, None], size, mode="bilinear")[..., :height, :width]


def blurred(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian over pictures (N, C, H, W); outside of a picture its border goes on.

    Sums of shifted pictures: many times faster on CPUs than a convolution of so few channels, and always
    rounded in the same way.
    """
    radius = math.ceil(_RADIUS * sigma)
    weights = [math.exp(-((place / sigma) ** 2) / 2) for place in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    for dim, sides in ((-2, (0, 0, radius, radius)), (-1, (radius, radius, 0, 0))):
        padded, length = F.pad(x, sides, mode="replicate"), x.shape[dim]
        found = padded.narrow(dim, radius, length) * (weights[0] / total)
        for place, weight in enumerate(weights[1:], start=1):
            before = padded.narrow(dim, radius - place, length)
            after = padded.narrow(dim, radius + place, length)
            found = found.add_(before, alpha=weight / total).add_(after, alpha=weight / total)
        x = found
    return x
