"""Restores many or large pictures in parts, without much memory."""

from __future__ import annotations

import torch
from torch import Tensor

from npp.hevc.picture_strips import around, groups_of, strips_of
from npp.restoration.restoring_network import RestoringNetwork


def restored_in_parts(network: RestoringNetwork, x: Tensor) -> Tensor:
    """Restores pictures as ``network(x)`` does, up to rounding, some pictures or a strip of one at a time.

    Rows around a strip are computed for each strip anew, so that only single large pictures are cut.

    Args:
        network: the restorer's; no gradient is made.
        x: (N, 3, H, W), H and W multiples of ``network.multiple``.

    Returns:
        (N, 3, H, W), or ``network.upscale`` times as high and wide.
    """
    restored = _room_for(network, x)
    done = 0
    for pictures in groups_of(x, network.upscale):
        restored[done : done + len(pictures)] = restored_in_strips(network, pictures)
        done += len(pictures)
    return restored


def restored_in_strips(network: RestoringNetwork, x: Tensor) -> Tensor:
    """Restores pictures of one batch a strip of rows at a time.

    Every strip is given the rows around it that its receptive field reaches, and the whole picture's mean.

    Args:
        network: the restorer's; no gradient is made.
        x: (N, 3, H, W), H and W multiples of ``network.multiple``.

    Returns:
        (N, 3, H, W), or ``network.upscale`` times as high and wide.
    """
    count, _, height, width = x.shape
    strips = strips_of(x, network.multiple, network.reach, network.upscale)
    if len(strips) == 1:
        whole: Tensor = network(x)
        return whole
    # In half precision the sum over a large picture would overflow.
    wide = torch.promote_types(x.dtype, torch.float32)
    total = torch.zeros(count, network.width, dtype=wide, device=x.device)
    for strip in strips:
        extended, above = around(x, strip, network.multiple)
        seen, skipped = network.seen_of(extended), above // network.multiple
        rows = (strip.end - strip.first) // network.multiple
        total += seen[:, :, skipped : skipped + rows].sum((2, 3), dtype=wide)
    picture = (total / (height // network.multiple * (width // network.multiple))).to(seen.dtype)
    restored, times = _room_for(network, x), network.upscale
    for strip in strips:
        extended, above = around(x, strip, network.reach)
        end = above + strip.end - strip.first
        rows = network(extended, picture)[..., times * above : times * end, :]
        restored[..., times * strip.first : times * strip.end, :] = rows
    return restored


def _room_for(network: RestoringNetwork, x: Tensor) -> Tensor:
    """An empty tensor for the restored pictures of x."""
    count, colours, height, width = x.shape
    return x.new_empty(count, colours, network.upscale * height, network.upscale * width)
