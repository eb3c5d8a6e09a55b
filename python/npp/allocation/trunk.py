"""The first layers of the allocator: inverted bottlenecks from a picture down to a sixteenth of its size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from npp.codec.qp_maps import MAP_BLOCK
from npp.hevc.picture_strips import RowRange, may_go_in_parts
from npp.torch_state import channels_last

_MEAN, _SCALE = 127 / 255, 128 / 255  # of the input
_FIRST = 32
_FIRST_FILTER = (3, 2)  # its side and stride

#: Values of a layer's widest features that are worked on at once where no gradients are wanted. More would
#: not stay in a cache, and the memory of large tensors is asked of the system anew each time, which takes
#: longer than the arithmetic.
_BAND = 1 << 19
_LEAST_ROWS = 8  # of a band: one or two more around it are worked on twice


class _Bottle(NamedTuple):
    """The shape of an inverted bottleneck: factor of the inner width, filter's side, stride, channels."""

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
    """The reach of a filter before and behind the places that become one; at most one more behind."""
    total = side - stride
    return total // 2, total - total // 2


class _Convolution(nn.Conv2d):
    """A convolution that divides the size by its stride; an odd row or column of zeros comes last."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, groups=groups)
        self.sides = _beside(side, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.padded(x, *self.sides)

    def padded(self, x: Tensor, above: int, below: int) -> Tensor:
        """Convolves with so many rows of zeros above and below; columns are padded as the filter needs."""
        padding = (*self.sides, above, below)
        return super().forward(F.pad(x, padding) if max(padding) else x)


class _InvertedBottleneck(nn.Module):
    """An inverted bottleneck: a pointwise layer that widens, a depthwise filter, and one that narrows."""

    def __init__(self, inputs: int, shape: _Bottle) -> None:
        super().__init__()
        self._inner = inputs * shape.expansion
        self._stride = shape.stride
        self.expand = _Convolution(inputs, self._inner, 1) if shape.expansion > 1 else None
        self.spread = _Convolution(self._inner, self._inner, shape.side, shape.stride, groups=self._inner)
        self.project = _Convolution(self._inner, shape.channels, 1)
        self._residual = shape.stride == 1 and inputs == shape.channels

    def forward(self, x: Tensor) -> Tensor:
        if not _is_large(x, self._inner):
            change = self._change(x, *self.spread.sides)
            return x + change if self._residual else change
        change = _in_bands(x, self.spread, self._inner, self._change)
        return change.add_(x) if self._residual else change

    def _change(self, x: Tensor, above: int, below: int) -> Tensor:
        """The change of x's rows, with zeros for rows above and below it that lie outside of the picture."""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        change: Tensor = self.project(F.relu6(self.spread.padded(wide, above, below)))
        return change


def _is_large(x: Tensor, values: int) -> bool:
    """Whether pictures with so many values for each place are worked on in bands."""
    return may_go_in_parts() and x.numel() // x.shape[1] * values > 2 * _BAND


def _in_bands(
    x: Tensor, spread: _Convolution, values: int, features: Callable[[Tensor, int, int], Tensor]
) -> Tensor:
    """Computes features of pictures, some pictures or some rows of one at a time.

    It has a tiling of its own, apart from :mod:`npp.hevc.picture_strips`. There, rows around a strip go
    through a whole network, and what came of them is cut off. Here a band is exactly what one filter sees,
    which may be more below than above; nothing is cut off, and zeros stand only for rows outside of the
    picture.

    Args:
        x: (N, C, H, W), H a multiple of the filter's stride.
        spread: the filter that sees rows around a band.
        values: how many values are worked on at once for each place of x.
        features: computes the features of some rows of x, with so many rows of zeros above and below.
    """
    height, width = x.shape[-2:]
    stride = spread.stride[0]
    count = max(1, _BAND // (values * height * width))
    rows = max(_LEAST_ROWS, _BAND // (count * values * width)) // stride * stride
    whole: Tensor | None = None
    for pictures, first in product(range(0, len(x), count), range(0, height, rows)):
        band = _band_of(
            x[pictures : pictures + count], spread, RowRange(first, min(first + rows, height)), features
        )
        if whole is None:  # in the order that convolutions of the CPU like
            whole = band.new_empty(len(x), height // stride, band.shape[3], band.shape[1]).permute(0, 3, 1, 2)
        row = first // stride
        whole[pictures : pictures + count, :, row : row + band.shape[2]] = band
    assert whole is not None
    return whole


def _band_of(
    x: Tensor, spread: _Convolution, band: RowRange, features: Callable[[Tensor, int, int], Tensor]
) -> Tensor:
    """Computes the features of a band from its rows and those around them that the filter sees."""
    height = x.shape[-2]
    top, bottom = band.first - spread.sides[0], band.end + spread.sides[1]
    return features(x[..., max(0, top) : bottom, :], max(0, -top), max(0, bottom - height))


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
        """The rows above and below a row of blocks in its receptive field, rounded up to whole blocks."""
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
        values = _FIRST // self.first.stride[0] ** 2
        if _is_large(x, values):
            return _in_bands(x, self.first, values, self._entered)
        return self._entered(x, *self.first.sides)

    def _entered(self, x: Tensor, above: int, below: int) -> Tensor:
        """The first convolution's features, with zeros for rows above and below x outside of the picture."""
        return F.relu6(self.first.padded((channels_last(x) - _MEAN) / _SCALE, above, below))
