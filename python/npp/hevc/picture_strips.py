"""Cuts many or large pictures into parts, so that a network's features need little memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from npp.torch_state import in_transform

#: Pixels that a network is shown at once where no gradients are wanted, without the rows around a strip.
STRIP_PIXELS = 1 << 20
#: The least height of a strip, in heights of what is around it on either side.
REACHES = 4


class RowRange(NamedTuple):
    """A range of a picture's rows: the first one, and the one after the last."""

    first: int
    end: int


def goes_in_parts(x: Tensor, upscale: int = 1) -> bool:
    """Whether pictures are so many or so large that they are worked on in parts; never with gradients.

    Args:
        x: (N, C, H, W).
        upscale: the factor by which a network's output, and so its features, is higher and wider.
    """
    return may_go_in_parts() and len(x) * x.shape[-2] * x.shape[-1] > _most(upscale)


def may_go_in_parts() -> bool:
    """Whether pictures may be worked on in parts.

    They may not with gradients, while torch makes a graph of the work, or within a transform of torch.func:
    vmap cannot write the parts into a whole that it does not map.
    """
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or in_transform())


def _most(upscale: int) -> int:
    """The number of pixels that a network of that ``upscale`` is shown at once."""
    return STRIP_PIXELS // upscale**2


def groups_of(x: Tensor, upscale: int = 1) -> tuple[Tensor, ...]:
    """Splits pictures (N, C, H, W) into groups that may be shown at once; a larger one is a group alone."""
    return torch.split(x, max(1, _most(upscale) // (x.shape[-2] * x.shape[-1])))


def strips_of(
    x: Tensor, multiple: int, reach: int, upscale: int = 1, reaches: int = REACHES
) -> list[RowRange]:
    """Cuts pictures into strips of rows that may be shown at once.

    What is around a strip is worked on twice, so that a strip of wide pictures is at least ``reaches`` times
    as high as that on either side: by default it takes no more than half of the strip's own work.

    Args:
        x: (N, C, H, W), H a multiple of ``multiple``.
        multiple: strips begin and end at multiples of this.
        reach: rows around a strip that its result depends on, on either side.
        upscale: as of :func:`goes_in_parts`.
        reaches: see above.
    """
    count, _, height, width = x.shape
    rows = max(_most(upscale) // (count * width), reaches * reach) // multiple * multiple
    rows = max(multiple, rows)
    return [RowRange(first, min(first + rows, height)) for first in range(0, height, rows)]


def around(x: Tensor, strip: RowRange, reach: int) -> tuple[Tensor, int]:
    """The strip with at most ``reach`` rows around it, as far as there are some, and the number above it."""
    top = max(0, strip.first - reach)
    return x[..., top : strip.end + reach, :], strip.first - top
