"""The position of a search and its steps: the change of the pixels, and the map's offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from npp.codec.qp_maps import map_size
from npp.gradient.adam import Adam
from npp.hevc.quantiser import slice_qp, step_size
from npp.torch_state import widened

_MEMORY = 0.9  # of the mean of the map's gradients
Maps: TypeAlias = list[Tensor | None]


class SearchCandidate(NamedTuple):
    """Pixels and quantiser maps that the codec encodes in one step of the search.

    Attributes:
        x: (N, C, H, W) pixels.
        maps: one or ``None`` for each picture, or a tensor (N, h, w); ``None`` where there are none.
    """

    x: Tensor
    maps: Tensor | Maps | None


class MapSearch(NamedTuple):
    """Settings of the steps on the map; see :func:`refine`."""

    lr: float
    limit: float
    zero_mean: bool


class PixelChange:
    """Adam on the pixels' change, in quantiser steps of their picture.

    Args:
        x: (N, C, H, W) the pictures as given.
        qps: of them.
        lr: first step size.
    """

    def __init__(self, x: Tensor, qps: list[int], lr: float) -> None:
        quantiser = slice_qp(torch.tensor(qps, dtype=x.dtype, device=x.device))
        self._x = x
        self._unit = (step_size(quantiser) / 255)[:, None, None, None]
        self._lr = lr
        self.parameter = torch.zeros_like(x, requires_grad=True)
        self._adam = Adam(x)

    def value(self) -> Tensor:
        """The pixels (N, C, H, W) that are coded."""
        return self._x + self._unit * self.parameter

    def move(self, gradient: Tensor, factor: float) -> None:
        """Takes a step of the first one's size times a factor, and clamps the pixels to [0, 1]."""
        with torch.no_grad():
            self.parameter.sub_(self._adam.change(gradient, self._lr * factor))
            self.parameter.copy_((self.value().clamp(0, 1) - self._x) / self._unit)


class MapOffsets:
    """A map's offsets.

    Steps have one root mean square in each picture, along the mean of the gradients so far. Blocks keep
    their proportions: Adam, which moves all alike, saves less.

    Args:
        start: (N, h, w) offsets to begin with.
        settings: how they move.
    """

    def __init__(self, start: Tensor, settings: MapSearch) -> None:
        self._settings = settings
        self._sum, self._weight = torch.zeros_like(start), 0.0
        # A start beyond the limit is not cut: the search would begin with another file than was given.
        self._limit = start.abs().amax((1, 2), keepdim=True).clamp_min(settings.limit)
        self.parameter = start.clone().requires_grad_()

    def value(self) -> Tensor:
        """The offsets (N, h, w) rounded to whole numbers, with the gradient of those that are not."""
        return self.parameter + (self.parameter.round() - self.parameter).detach()

    @torch.no_grad()
    def move(self, gradient: Tensor, factor: float) -> None:
        """Takes a step of the first one's size times a factor, and clamps the offsets to the limits."""
        size = gradient.square().mean((1, 2), keepdim=True).sqrt()
        self._sum = _MEMORY * self._sum + gradient / size.clamp_min(torch.finfo(size.dtype).tiny)
        self._weight = _MEMORY * self._weight + 1
        self.parameter.sub_(self._settings.lr * factor / self._weight * self._sum)
        if self._settings.zero_mean:
            self.parameter.sub_(self.parameter.mean((1, 2), keepdim=True))
        self.parameter.copy_(self.parameter.clamp(-self._limit, self._limit))


class SearchPosition:
    """The current position of the search: the changed pixels, the changed maps, or both.

    Args:
        start: the pictures and maps as given.
        qps: of the pictures.
        lr: first step size of the pixels; ``None`` where they stay.
        offsets: how the map moves; ``None`` where it stays.
    """

    def __init__(
        self, start: SearchCandidate, qps: list[int], lr: float | None, offsets: MapSearch | None
    ) -> None:
        self._start = start._replace(x=widened(start.x))
        self._pixels = None if lr is None else PixelChange(self._start.x, qps, lr)
        self._offsets = None if offsets is None else MapOffsets(_as_tensor(start), offsets)
        self._moving = [group for group in (self._pixels, self._offsets) if group is not None]

    def candidate(self) -> SearchCandidate:
        """The pixels and maps that the codec encodes at this position."""
        pixels = self._start.x if self._pixels is None else self._pixels.value()
        return SearchCandidate(pixels, self._start.maps if self._offsets is None else self._offsets.value())

    def gradients(self, objective: Tensor) -> list[Tensor]:
        """Gradients of the sum of the objectives (N,) with respect to all parameters that move."""
        return list(torch.autograd.grad(objective.sum(), [group.parameter for group in self._moving]))

    def move(self, gradients: Sequence[Tensor], factor: float) -> None:
        """Takes a step of all parameters along their gradients."""
        for group, gradient in zip(self._moving, gradients, strict=True):
            group.move(gradient, factor)


def _as_tensor(start: SearchCandidate) -> Tensor:
    """Maps (N, h, w); constant QP is zeros."""
    size = map_size(start.x.shape[-2], start.x.shape[-1])
    maps = start.maps or [None] * len(start.x)
    zeros = torch.zeros(size, dtype=torch.float32, device=start.x.device)
    return torch.stack([zeros if offsets is None else offsets for offsets in maps])
