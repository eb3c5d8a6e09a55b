"""Small networks for the tests of training; in YAML python:training_nets:classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def classifier(classes: int = 10) -> nn.Module:
    """Logits (N, classes) that depend on the details of a picture; the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=3), nn.Tanh(), nn.Conv2d(12, 24, 3, stride=2), nn.Tanh(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(24 * 16, classes), _Loud(),
        )  # fmt: skip


def dropping() -> nn.Module:
    """:func:`classifier` of pixels of which it drops others each time."""
    return nn.Sequential(_Dropping(), classifier())


def corner() -> nn.Module:
    """:func:`classifier` of the upper left quarter; the rest does not count."""
    return nn.Sequential(_Corner(), classifier())


def upper() -> nn.Module:
    """The pixels of the upper half, for the task match."""
    return _Rows(0, 0.5)


def lower() -> nn.Module:
    """Those of the lower half."""
    return _Rows(0.5, 1)


class _Rows(nn.Module):
    def __init__(self, first: float, last: float) -> None:
        super().__init__()
        self._first, self._last = first, last

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[-2]
        return x[..., round(self._first * height) : round(self._last * height), :]


class _Dropping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.1)


class _Corner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., : x.shape[-2] // 2, : x.shape[-1] // 2]


class _Loud(nn.Module):
    """Makes untrained logits as sure as trained ones."""

    def forward(self, x: Tensor) -> Tensor:
        return 30 * x
