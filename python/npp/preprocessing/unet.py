"""The published preprocessor: a pixel branch and a U-Net (Lu et al., TCSVT 2024, arXiv 2206.05650)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from npp.preprocessing import checks
from npp.preprocessing.network import Network

_HALVINGS = 4


@dataclass(frozen=True)
class UNetSettings:
    """Sizes of a :class:`UNet`.

    Attributes:
        width: channels at full size, doubled with each of four halvings; 32 is the published one.
    """

    width: int = 32

    def __post_init__(self) -> None:
        checks.whole("width", self.width, 1, 128)


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Twice: 3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(Network):
    """Two 1x1 convolutions for the pixels' values plus a U-Net for what they mean. It ignores the qp.

    Where the paper leaves a choice, the count of its parameters decides: 9.42 M are two 3x3 convolutions at
    each of five sizes of 32 to 512 channels, and 3x3 convolutions of stride 2 between the sizes, both ways.
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
        """See :class:`Network`."""
        return asdict(self._settings)

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """See :class:`Network`."""
        return self._filter(x, None)

    def _filter(self, x: Tensor, scales: Sequence[Tensor] | None) -> Tensor:
        """The picture, with each level's features scaled: going down, at the bottom, going up again."""
        narrow = x.to(self.leave.weight.dtype)
        filtered: Tensor = self.pixels(narrow) + self.leave(self._features(narrow, scales))
        return filtered.to(x.dtype)

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
