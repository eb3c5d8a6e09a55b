"""Smooth pictures with an edge and some noise."""

from __future__ import annotations

import torch
from torch import Tensor


def smooth_picture(channels: int, height: int, width: int, seed: int) -> Tensor:
    """A smooth picture with an edge and some noise, floats in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.linspace(0, 1, height)[None, :, None]
    x = torch.linspace(0, 1, width)[None, None, :]
    phase = torch.rand(channels, 1, 1, generator=generator)
    image = 0.5 + 0.4 * torch.sin(6 * (x + phase)) * torch.cos(5 * y + phase)
    image = image + 0.03 * torch.randn(channels, height, width, generator=generator) + 0.2 * (x > y)
    return image.clamp(0, 1)
