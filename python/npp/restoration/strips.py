"""Large pictures in strips, so that a network's features need no more memory than those of a small one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from npp.restoration.restoring_network import RestoringNetwork

#: Pixels of the whole batch above which it goes in strips of at most so many.
STRIP_PIXELS = 1 << 20


def _strips(height: int, row_pixels: int, multiple: int) -> Iterator[tuple[int, int]]:
    """First row and the one after the last; multiples of ``multiple`` as the height is."""
    rows = max(multiple, STRIP_PIXELS // row_pixels // multiple * multiple)
    return ((first, min(first + rows, height)) for first in range(0, height, rows))


def _around(x: Tensor, strip: tuple[int, int], reach: int) -> tuple[Tensor, int]:
    """The strip with as many rows around it as there are, at most ``reach``; and how many are above it."""
    first, end = strip
    top = max(0, first - reach)
    return x[..., top : end + reach, :], first - top


def restored_in_strips(network: RestoringNetwork, x: Tensor) -> Tensor:
    """What ``network(x)`` gives, up to rounding, a strip of rows at a time.

    Every strip is seen with as many rows around it as have a part in it, and with the whole picture's mean.

    Args:
        network: no gradient is wanted of it.
        x: (N, 3, H, W), H and W multiples of ``network.multiple``.
    """
    count, _, height, width = x.shape
    strips = list(_strips(height, count * width, network.multiple))
    # In half precision the sum of a large picture has no end.
    wide = torch.promote_types(x.dtype, torch.float32)
    total = torch.zeros(count, network.width, dtype=wide, device=x.device)
    for strip in strips:
        part, above = _around(x, strip, network.multiple)
        seen, skipped = network.seen_of(part), above // network.multiple
        rows = (strip[1] - strip[0]) // network.multiple
        total += seen[:, :, skipped : skipped + rows].sum((2, 3), dtype=wide)
    picture = (total / (height // network.multiple * (width // network.multiple))).to(seen.dtype)
    restored = torch.empty_like(x)
    for strip in strips:
        part, above = _around(x, strip, network.reach)
        restored[..., slice(*strip), :] = network(part, picture)[..., above : above + strip[1] - strip[0], :]
    return restored
