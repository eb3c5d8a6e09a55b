"""What a restorer computes: residual blocks at a quarter of the size, which know the picture as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

import npp.checks as checks
from npp.hevc.zero_start import start_at_zero
from npp.torch_state import channels_last

_COLOURS = 3
_STRIDE = 2  # what it gives, over the finest features, and those over the others
_STEP = 0.1  # of what the last layer says: an untrained step is small against a pixel's range
_MIDDLE = 0.5


@dataclass(frozen=True)
class RestorerSettings:
    """Sizes of a restorer.

    Attributes:
        width: channels at a quarter of the size of what it gives, 8 to 256.
        depth: residual blocks there, 1 to 32.
        edge_width: channels at half of that size, where what is fine is seen, 4 to 128.
        upscale: how many times as high and wide as the decoded picture that is: 1, or 2 for pictures that
            were coded at half their size.
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
    """Two convolutions whose sum with the input goes on; the picture as a whole scales and shifts them."""

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
    """x, or x enlarged, plus a change that is 0 until it is trained.

    How coarsely a picture was quantised it sees by itself: from the mean of its features, and from place to
    place, where a map had the quantiser differ. So it needs nothing but the decoded pixels.
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
        # Pixels beside their channels: a quarter faster on CPUs.
        folded = channels_last(F.pixel_unshuffle(x - _MIDDLE, self.fold))
        edges = F.silu(self.edges(folded))
        return edges, self.down(edges)

    def seen_of(self, x: Tensor) -> Tensor:
        """Features (N, width, H/multiple, W/multiple) whose mean describes pictures as a whole."""
        return F.silu(self._begun(x)[1])

    def forward(self, x: Tensor, picture: Tensor | None = None) -> Tensor:
        """Pictures to the same, ``upscale`` times as high and wide; values may leave [0, 1].

        Args:
            x: (N, 3, H, W).
            picture: (N, width) the mean of :meth:`seen_of` of the whole pictures, where x is a part of them.
        """
        edges, features = self._begun(x)
        if picture is None:
            picture = F.silu(features).mean((2, 3))
        for block in self.blocks:
            features = block(features, picture)
        joined = F.silu(self.together(edges + self.up(features)))
        return enlarged(x, self.upscale) + _STEP * F.pixel_shuffle(self.last(joined), _STRIDE)


def enlarged(x: Tensor, upscale: int) -> Tensor:
    """Pictures (N, C, H, W) as a restorer of that ``upscale`` gives them before it is trained.

    Bicubic, as pictures that were coded smaller are enlarged where there is no restorer.
    """
    if upscale == 1:
        return x
    return F.interpolate(x, scale_factor=upscale, mode="bicubic")
