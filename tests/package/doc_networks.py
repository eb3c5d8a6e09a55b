"""Small networks that stand for those which the documentation's commands name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def _made(make: Callable[[], nn.Module]) -> nn.Module:
    """Random weights, the same every time, large enough that the output depends on the picture."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = make()
        for parameter in network.parameters():
            if parameter.ndim == 4:
                nn.init.normal_(parameter, std=0.5)
    return network


class Cells(nn.Module):
    """A detector: three classes, and a box for each 16x16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 16, 16)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = self.body(x).flatten(2).transpose(1, 2).sigmoid()
        rows, columns = torch.meshgrid(
            torch.arange(x.shape[2] // 16), torch.arange(x.shape[3] // 16), indexing="ij"
        )
        corners = torch.stack([columns, rows, columns + 1, rows + 1], -1).reshape(1, -1, 4) * 16.0
        return {"boxes": corners.expand(len(x), -1, -1), "scores": scores}


class Letters(nn.Module):
    """A reader: a letter or none in each of six columns."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(self.body(x), (1, 6))[:, :, 0].transpose(1, 2)


def classifier() -> nn.Module:
    """Logits (N, 7)."""
    return _made(
        lambda: nn.Sequential(nn.Conv2d(3, 7, 5, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )


def segmenter() -> nn.Module:
    """Logits (N, 4, h, w)."""
    return _made(lambda: nn.Conv2d(3, 4, 5, 2, 2))


def reader() -> nn.Module:
    """Logits (N, 6, 4); the blank is the first."""
    return _made(Letters)


def detector() -> nn.Module:
    """Boxes and scores of cells."""
    return _made(Cells)
