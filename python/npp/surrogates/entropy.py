"""Probabilities of quantised latents."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_LIKELIHOOD = 1e-9
_LEAST_SCALE = 0.11


def quantise(latent: Tensor, noisy: bool) -> Tensor:
    """Rounds with a straight-through gradient, or adds uniform noise of one step on the latent's device."""
    if noisy:
        return latent + torch.rand_like(latent) - 0.5
    return latent + (latent.detach().round() - latent.detach())


def gaussian_likelihood(value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Probability that a Gaussian, quantised with step 1, gives ``value``. Elementwise."""
    distance = (value - mean).abs()
    deviation = F.softplus(scale) + _LEAST_SCALE
    upper = torch.special.ndtr((0.5 - distance) / deviation)
    lower = torch.special.ndtr((-0.5 - distance) / deviation)
    likelihood: Tensor = (upper - lower).clamp_min(_LEAST_LIKELIHOOD)
    return likelihood


class FactorizedDensity(nn.Module):
    """A learned density for each channel, by a monotone network (Ballé et al. 2018, appendix 6.1).

    Args:
        channels: of the latent.
        width: units of the three hidden layers.
        spread: about how far from 0 the initial density reaches.
    """

    def __init__(self, channels: int, width: int = 3, spread: float = 10.0) -> None:
        super().__init__()
        sizes = [1, width, width, width, 1]
        growth = spread ** (1 / (len(sizes) - 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in pairwise(sizes):
            start = torch.expm1(torch.tensor(1 / growth / outputs)).log()
            self.matrices.append(nn.Parameter(start.repeat(channels, outputs, inputs)))
            self.biases.append(nn.Parameter(torch.rand(channels, outputs, 1) - 0.5))
            self.factors.append(nn.Parameter(torch.zeros(channels, outputs, 1)))

    def _cumulative_logit(self, value: Tensor) -> Tensor:
        last = len(self.matrices) - 1
        for i, (matrix, bias, factor) in enumerate(
            zip(self.matrices, self.biases, self.factors, strict=True)
        ):
            value = F.softplus(matrix) @ value + bias
            if i < last:
                value = value + torch.tanh(factor) * torch.tanh(value)
        return value

    def forward(self, value: Tensor) -> Tensor:
        """Probability of each quantised value of (N, C, H, W); same shape out."""
        count, channels, height, width = value.shape
        flat = value.transpose(0, 1).reshape(channels, 1, -1)
        lower, upper = self._cumulative_logit(flat - 0.5), self._cumulative_logit(flat + 0.5)
        # On the side where both sigmoids are small their difference keeps its digits.
        side = -torch.sign(lower + upper).detach()
        likelihood = (torch.sigmoid(side * upper) - torch.sigmoid(side * lower)).abs()
        return likelihood.clamp_min(_LEAST_LIKELIHOOD).view(channels, count, height, width).transpose(0, 1)
