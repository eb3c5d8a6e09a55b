"""Many or large pictures in parts, so that a network's features need no more memory than a small one's."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from npp.torch_state import in_transform

#: Pixels that a network is shown at once where no gradients are wanted, what lies around a strip apart.
STRIP_PIXELS = 1 << 20
REACHES = 4  # rows of a strip, at least, where one is what is around it on either side


class RowRange(NamedTuple):
    """Rows of pictures: the first one, and the one after the last."""

    first: int
    end: int


def goes_in_parts(x: Tensor, upscale: int = 1) -> bool:
    """Whether pictures are so many, or so large, that they are worked on in parts; never with gradients.

    Args:
        x: (N, C, H, W).
        upscale: how many times as high and wide what a network makes of them is: its features are as many.
    """
    return may_go_in_parts() and len(x) * x.shape[-2] * x.shape[-1] > _most(upscale)


def may_go_in_parts() -> bool:
    """Whether pictures may be worked on in parts: never with gradients, nor where a graph is made of it.

    Nor within a transform of torch.func: vmap cannot write the parts into a whole that it does not map.
    """
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or in_transform())


def _most(upscale: int) -> int:
    return STRIP_PIXELS // upscale**2


def groups_of(x: Tensor, upscale: int = 1) -> tuple[Tensor, ...]:
    """Pictures in groups of as many as may be shown at once; one that is larger than that is a group."""
    return torch.split(x, max(1, _most(upscale) // (x.shape[-2] * x.shape[-1])))


def strips_of(
    x: Tensor, multiple: int, reach: int, upscale: int = 1, reaches: int = REACHES
) -> list[RowRange]:
    """Strips of rows that may be shown at once; multiples of ``multiple``, as the pictures' height is.

    Of wide pictures they are at least ``reaches`` times as high as what is around them on either side, which
    is worked on twice: by default that shall not take more work than half of their own.
    """
    count, _, height, width = x.shape
    rows = max(_most(upscale) // (count * width), reaches * reach) // multiple * multiple
    rows = max(multiple, rows)
    return [RowRange(first, min(first + rows, height)) for first in range(0, height, rows)]


def around(x: Tensor, strip: RowRange, reach: int) -> tuple[Tensor, int]:
    """The strip with as many rows around it as there are, at most ``reach``; and how many are above it."""
    top = max(0, strip.first - reach)
    return x[..., top : strip.end + reach, :], strip.first - top
