"""The network of a restorer: residual blocks at a quarter of the size, conditioned on the whole picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

import npp.checks as checks
from npp.hevc.zero_start import start_at_zero
from npp.torch_state import channels_last

_COLOURS = 3
_STRIDE = 2  # from its output to the finest features, and from those to the others
_STEP = 0.1  # of the last layer's output, so that first steps are small against a pixel's range
_MIDDLE = 0.5


@dataclass(frozen=True)
class RestorerSettings:
    """Sizes of a restorer.

    Attributes:
        width: channels at a quarter of the output's size, 8 to 256.
        depth: residual blocks there, 1 to 32.
        edge_width: channels at half of the output's size, for fine detail, 4 to 128.
        upscale: the factor by which the output is higher and wider than the decoded picture: 1, or 2 for
            pictures that were coded at half their size.
    """

    width: int = 64
    depth: int = 4
    edge_width: int = 24
    upscale: int = 1

    def __post_init__(self) -> None:
        limits = (("width", 8, 256), ("depth", 1, 32), ("edge_width", 4, 128), ("upscale", 1, _STRIDE))
        for name, low, high in limits:
            checks.wholes(self, low, high, name)


class _Block(nn.Module):
    """A residual block of two convolutions, scaled and shifted by what the picture is as a whole."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.by_picture = nn.Linear(width, 2 * width)
        start_at_zero(self.second)
        start_at_zero(self.by_picture)

    def forward(self, x: Tensor, picture: Tensor) -> Tensor:
        scale, shift = self.by_picture(picture)[:, :, None, None].chunk(2, 1)
        change: Tensor = self.second(F.silu(self.first(x) * (1 + scale) + shift))
        return x + change


class RestoringNetwork(nn.Module):
    """Adds a change to x, or to x enlarged, that is 0 until it is trained.

    It needs nothing but the decoded pixels: the mean of its features shows how coarsely a picture was
    quantised, and the features themselves where a map made the quantiser differ.
    """

    def __init__(self, settings: RestorerSettings) -> None:
        super().__init__()
        width, edge = settings.width, settings.edge_width
        self.width = width
        self.upscale = settings.upscale
        #: Pixels of a square beside each other that become channels, along one side.
        self.fold = _STRIDE // self.upscale
        #: Heights and widths must be multiples of this.
        self.multiple = _STRIDE * self.fold
        self.edges = nn.Conv2d(_COLOURS * self.fold * self.fold, edge, 3, padding=1)
        self.down = nn.Conv2d(edge, width, 2, stride=2)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(settings.depth))
        self.up = nn.ConvTranspose2d(width, edge, 2, stride=2)
        self.together = nn.Conv2d(edge, edge, 3, padding=1)
        self.last = nn.Conv2d(edge, _COLOURS * _STRIDE * _STRIDE, 3, padding=1)
        start_at_zero(self.last)

    @property
    def reach(self) -> int:
        """Rows above and below a row within its receptive field, rounded up to whole ``multiple``."""
        at_quarter, at_half = 2 * len(self.blocks), 3
        return self.multiple * (at_quarter + (at_half + 1) // 2)

    def _begun(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features at half and at a quarter of the output's size, before the residual blocks."""
        # Pixels beside their channels: a quarter faster on CPUs.
        folded = channels_last(F.pixel_unshuffle(x - _MIDDLE, self.fold))
        edges = F.silu(self.edges(folded))
        return edges, self.down(edges)

    def seen_of(self, x: Tensor) -> Tensor:
        """Features (N, width, H/multiple, W/multiple) whose mean describes pictures as a whole."""
        return F.silu(self._begun(x)[1])

    def forward(self, x: Tensor, picture: Tensor | None = None) -> Tensor:
        """Restores pictures, which become ``upscale`` times as high and wide; values may leave [0, 1].

        Args:
            x: (N, 3, H, W).
            picture: (N, width), the mean of :meth:`seen_of` over whole pictures of which x is a part; by
                default that over x.
        """
        edges, features = self._begun(x)
        if picture is None:
            picture = F.silu(features).mean((2, 3))
        for block in self.blocks:
            features = block(features, picture)
        joined = F.silu(self.together(edges + self.up(features)))
        return enlarged(x, self.upscale) + _STEP * F.pixel_shuffle(self.last(joined), _STRIDE)


def enlarged(x: Tensor, upscale: int) -> Tensor:
    """Enlarges pictures (N, C, H, W) as a restorer of that ``upscale`` does before it is trained.

    It is bicubic, as where pictures that were coded smaller are enlarged without a restorer.
    """
    if upscale == 1:
        return x
    return F.interpolate(x, scale_factor=upscale, mode="bicubic")
