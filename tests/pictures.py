"""Small pictures that are neither flat nor noise, made without a file."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pictures(count: int = 2, size: int = 32, channels: int = 3) -> Tensor:
    """Coarse patches with some noise on them: (count, channels, size, size), the same in every call."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, channels, size // 8, size // 8, generator=generator)
    fine = torch.rand(count, channels, size, size, generator=generator)
    return (0.8 * F.interpolate(coarse, size=(size, size), mode="bilinear") + 0.2 * fine).clamp(0, 1)
