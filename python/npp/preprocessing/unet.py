"""The published U-Net, and its form that adapts to the qp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

import npp.checks as checks
from npp.preprocessing.filter_network import FilterNetwork

_HALVINGS = 4


@dataclass(frozen=True)
class UNetSettings:
    """Sizes of a ``UNet``.

    Attributes:
        width: channels at full size, doubled with each of four halvings; 32 is the published one.
    """

    width: int = 32

    def __post_init__(self) -> None:
        checks.wholes(self, 1, 128, "width")


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two times a 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(FilterNetwork):
    """Two 1x1 convolutions for the pixels' values plus a U-Net for their context; it ignores the qp.

    Where the paper leaves a choice, its count of parameters decides: 9.42 M are two 3x3 convolutions at each
    of five sizes of 32 to 512 channels, and 3x3 convolutions of stride 2 between the sizes, both ways.

    Raises:
        ValueError: in training, one picture of at most 16x16: batch normalisation needs two values at least.
    """

    multiple = 1 << _HALVINGS

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self._settings = settings
        self.widths = [settings.width << i for i in range(_HALVINGS + 1)]
        *sides, bottom = self.widths
        self.pixels = nn.Sequential(nn.Conv2d(3, sides[0], 1), nn.ReLU(), nn.Conv2d(sides[0], 3, 1))
        self.encoder = nn.ModuleList(
            _convolutions(i, o) for i, o in zip([3, *sides[:-1]], sides, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in sides)
        self.bottom = _convolutions(sides[-1], bottom)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 3, stride=2, padding=1, output_padding=1) for w in sides
        )
        self.decoder = nn.ModuleList(_convolutions(2 * w, w) for w in sides)
        self.leave = nn.Conv2d(sides[0], 3, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, defaults filled in."""
        return asdict(self._settings)

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Filters pictures (N, 3, H, W); the qps (N,) change nothing."""
        return self._filter(x, None)

    def _filter(self, x: Tensor, scales: Sequence[Tensor] | None) -> Tensor:
        """Filters pictures with each level's features scaled: going down, at the bottom, going up again."""
        if len(x) == 1 and max(x.shape[-2:]) <= self.multiple and self._takes_means_of_the_batch():
            raise ValueError(
                f"x must be several pictures, or larger than {self.multiple}x{self.multiple}, in training: "
                f"batch normalisation needs two values at least; not {tuple(x.shape)}, borders included"
            )
        narrow = x.to(self.leave.weight.dtype)
        filtered: Tensor = self.pixels(narrow) + self.leave(self._features(narrow, scales))
        return filtered.to(x.dtype)

    def _takes_means_of_the_batch(self) -> bool:
        """Whether the layers at the bottom, where the pictures are smallest, are in training."""
        return any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in self.bottom.modules())

    def _features(self, x: Tensor, scales: Sequence[Tensor] | None) -> Tensor:
        factors = iter(scales or ())

        def scaled(features: Tensor) -> Tensor:
            return features if scales is None else features * next(factors)[:, :, None, None]

        kept = []
        for convolutions, down in zip(self.encoder, self.down, strict=True):
            kept.append(scaled(convolutions(x)))
            x = down(kept[-1])
        x = scaled(self.bottom(x))
        for convolutions, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = scaled(convolutions(torch.cat([up(x), kept.pop()], dim=1)))
        return x


_HIDDEN = 25
_LAMBDA_SCALE = 8.0

#: The method's weight of the task loss by qp.
LAMBDAS = {25: 16.0, 28: 8.0, 29: 6.0, 31: 4.0, 34: 2.0, 37: 1.0, 40: 0.65, 44: 0.25}


def lambda_of(qp: Tensor) -> Tensor:
    """The method's λ at qps (N,): log λ is linear between the entries of its table and goes on beyond."""
    qps = list(LAMBDAS)
    logs = [math.log(value) for value in LAMBDAS.values()]
    slopes = [(logs[i + 1] - logs[i]) / (qps[i + 1] - qps[i]) for i in range(len(qps) - 1)]
    result: Tensor = logs[0] + slopes[0] * (qp - qps[0])
    for i in range(1, len(slopes)):
        result = result + (slopes[i] - slopes[i - 1]) * (qp - qps[i]).clamp_min(0)
    return result.exp()


class AdaptiveUNet(UNet):
    """The U-Net with its features scaled per channel by functions of λ / 8, and so of the qp.

    After each of the nine pairs of convolutions, two linear layers give the scales. They have 25 hidden
    values, which comes closest to the 39 k parameters that the method adds.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__(settings)
        *sides, bottom = self.widths
        self.scalings = nn.ModuleList(_scaling(w) for w in [*sides, bottom, *reversed(sides)])

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Filters pictures (N, 3, H, W) with features scaled for their qps (N,)."""
        strength = (lambda_of(qp) / _LAMBDA_SCALE)[:, None].to(self.leave.weight.dtype)
        return self._filter(x, [scaling(strength) for scaling in self.scalings])


def _scaling(channels: int) -> nn.Sequential:
    """Layers from λ / 8 (N, 1) to the scales (N, channels), which start near 1."""
    last = nn.Linear(_HIDDEN, channels)
    with torch.no_grad():
        last.bias.add_(1)  # features start near their own scale
    return nn.Sequential(nn.Linear(1, _HIDDEN), nn.ReLU(), last)
