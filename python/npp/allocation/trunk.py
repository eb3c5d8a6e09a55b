"""The first layers of the allocator: inverted bottlenecks from a picture down to a sixteenth of its size."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.codec.qp_maps import MAP_BLOCK
from npp.hevc.picture_strips import may_go_in_parts

_MEAN, _SCALE = 127 / 255, 128 / 255  # of the input
_FIRST = 32
_FIRST_FILTER = (3, 2)  # its side and stride

#: Values of a bottleneck's widest features that are worked on at once where no gradients are wanted. More do
#: not stay in a cache, and large tensors' memory is asked of the system anew each time, which takes longer
#: than the arithmetic.
_BAND = 1 << 19
_LEAST_ROWS = 8  # of a band: one or two more around it are worked on twice


class _Bottle(NamedTuple):
    """An inverted bottleneck: how much wider inside, side of the filter, stride, channels out."""

    expansion: int
    side: int
    stride: int
    channels: int


# As in EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946, without squeeze and swish), so that its weights fit.
_TRUNK = (
    _Bottle(1, 3, 1, 16),
    _Bottle(6, 3, 2, 24),
    _Bottle(6, 3, 1, 24),
    _Bottle(6, 5, 2, 40),
    _Bottle(6, 5, 1, 40),
    _Bottle(6, 3, 2, 80),
    _Bottle(6, 3, 1, 80),
    _Bottle(6, 3, 1, 80),
)


def _beside(side: int, stride: int) -> tuple[int, int]:
    """How many places a filter sees before and behind those that become one; at most one more behind."""
    total = side - stride
    return total // 2, total - total // 2


class _Convolution(nn.Conv2d):
    """Padded with zeros so that the size is divided by the stride, the odd one at the bottom and right."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, groups=groups)
        self.sides = _beside(side, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.padded(x, *self.sides)

    def padded(self, x: Tensor, above: int, below: int) -> Tensor:
        """With so many rows of zeros above and below; beside the columns always as many as it needs."""
        padding = (*self.sides, above, below)
        return super().forward(F.pad(x, padding) if max(padding) else x)


class _InvertedBottleneck(nn.Module):
    def __init__(self, inputs: int, shape: _Bottle) -> None:
        super().__init__()
        self._inner = inputs * shape.expansion
        self._stride = shape.stride
        self.expand = _Convolution(inputs, self._inner, 1) if shape.expansion > 1 else None
        self.spread = _Convolution(self._inner, self._inner, shape.side, shape.stride, groups=self._inner)
        self.project = _Convolution(self._inner, shape.channels, 1)
        self._residual = shape.stride == 1 and inputs == shape.channels

    def forward(self, x: Tensor) -> Tensor:
        change = self._in_bands(x) if self._is_large(x) else self._change(x, *self.spread.sides)
        return x + change if self._residual else change

    def _change(self, x: Tensor, above: int, below: int) -> Tensor:
        """Of all rows but those that the filter reaches, where these are not padded with zeros."""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        change: Tensor = self.project(F.relu6(self.spread.padded(wide, above, below)))
        return change

    def _is_large(self, x: Tensor) -> bool:
        return may_go_in_parts() and x.numel() // x.shape[1] * self._inner > 2 * _BAND

    def _in_bands(self, x: Tensor) -> Tensor:
        """The change of the whole, some pictures or some rows of one at a time."""
        height, width = x.shape[-2:]
        count = max(1, _BAND // (self._inner * height * width))
        rows = max(_LEAST_ROWS, _BAND // (count * self._inner * width)) // self._stride * self._stride
        return torch.cat([self._rows_in_bands(pictures, rows) for pictures in torch.split(x, count)])

    def _rows_in_bands(self, x: Tensor, rows: int) -> Tensor:
        """So many rows at a time, a whole number of strides, with those around them that the filter sees."""
        height = x.shape[-2]
        above, below = self.spread.sides
        bands = []
        for first in range(0, height, rows):
            top, bottom = first - above, min(first + rows, height) + below
            band = x[..., max(0, top) : bottom, :]
            bands.append(self._change(band, max(0, -top), max(0, bottom - height)))
        return torch.cat(bands, dim=-2)


class Trunk(nn.Module):
    """Features (N, 80, H/16, W/16) of pictures (N, 3, H, W) in [0, 1], H and W multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _Convolution(3, _FIRST, *_FIRST_FILTER)
        channels = _FIRST
        bottles = []
        for shape in _TRUNK:
            bottles.append(_InvertedBottleneck(channels, shape))
            channels = shape.channels
        self.bottles = nn.ModuleList(bottles)
        self.channels = channels

    @property
    def reach(self) -> int:
        """Rows above and below a row of blocks within its receptive field, rounded up to whole blocks."""
        rows, scale = 0, 1
        for side, stride in (_FIRST_FILTER, *((shape.side, shape.stride) for shape in _TRUNK)):
            rows += _beside(side, stride)[1] * scale
            scale *= stride
        return -(-rows // MAP_BLOCK) * MAP_BLOCK

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H/16, W/16) of pictures (N, 3, H, W)."""
        y = self.enter(x)
        for bottle in self.bottles:
            y = bottle(y)
        return y

    def enter(self, x: Tensor) -> Tensor:
        """The input of the first bottleneck: features of a first convolution."""
        return F.relu6(self.first((x - _MEAN) / _SCALE))
