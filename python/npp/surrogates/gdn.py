"""Generalised divisive normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FLOOR = 1e-6


class GDN(nn.Module):
    """y_i = x_i / sqrt(β_i + Σ_j γ_ij x_j²), or times the root when inverse (Ballé et al., arXiv 1511.06281).

    β and γ are kept positive as squares of the parameters.

    Args:
        channels: of the input (N, channels, H, W) and the output.
        inverse: multiply instead of divide.
    """

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_root = nn.Parameter(torch.ones(channels))
        self.gamma_root = nn.Parameter(0.3 * torch.eye(channels) + 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        gamma = self.gamma_root.square()[:, :, None, None]
        norm = F.conv2d(x.square(), gamma, self.beta_root.square() + _FLOOR)
        return x * norm.sqrt() if self.inverse else x * norm.rsqrt()
