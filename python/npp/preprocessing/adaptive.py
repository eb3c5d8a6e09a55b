"""The published preprocessor in its quantisation-adaptive form (Lu et al., TCSVT 2024, arXiv 2206.05650)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npp.preprocessing.unet import UNet, UNetSettings

_HIDDEN = 25
_LAMBDA_SCALE = 8.0

#: The method's weight of the task loss by qp.
LAMBDAS = {25: 16.0, 28: 8.0, 29: 6.0, 31: 4.0, 34: 2.0, 37: 1.0, 40: 0.65, 44: 0.25}


def lambda_of(qp: Tensor) -> Tensor:
    """The method's λ at (N,) qp: log λ is linear between the entries of its table and goes on beyond."""
    places = list(LAMBDAS)
    logs = [math.log(value) for value in LAMBDAS.values()]
    slopes = [(logs[i + 1] - logs[i]) / (places[i + 1] - places[i]) for i in range(len(places) - 1)]
    result: Tensor = logs[0] + slopes[0] * (qp - places[0])
    for i in range(1, len(slopes)):
        result = result + (slopes[i] - slopes[i - 1]) * (qp - places[i]).clamp_min(0)
    return result.exp()


class AdaptiveUNet(UNet):
    """The U-Net with its features scaled per channel by functions of λ / 8, and so of the qp.

    After each of the nine pairs of convolutions: two linear layers with 25 hidden values, which come closest
    to the 39 k parameters that the method adds.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__(settings)
        *sides, bottom = self.widths
        self.scalings = nn.ModuleList(_scaling(w) for w in [*sides, bottom, *reversed(sides)])

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """See :class:`npp.preprocessing.network.Network`."""
        strength = (lambda_of(qp) / _LAMBDA_SCALE)[:, None].to(self.leave.weight.dtype)
        return self._filter(x, [scaling(strength) for scaling in self.scalings])


def _scaling(channels: int) -> nn.Sequential:
    last = nn.Linear(_HIDDEN, channels)
    with torch.no_grad():
        last.bias.add_(1)  # features start near their own scale
    return nn.Sequential(nn.Linear(1, _HIDDEN), nn.ReLU(), last)
