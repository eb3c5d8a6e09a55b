"""Soft quantisation of block DCT coefficients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from npp.surrogates.transform import TransformSurrogate


class SoftDCT(TransformSurrogate):
    """Coefficients go through a soft rounding to multiples of the codec's step.

    Within a step the rounding is a tanh (Agustsson and Theis, arXiv 2006.09952); the codec in the
    middle of a trained pair stands in the sandwich papers (arXiv 2402.05887).

    Args:
        sharpness: above 0; near 0 is the identity, large is hard rounding with nearly no gradient.
    """

    def __init__(self, sharpness: float = 3.0) -> None:
        if not sharpness > 0:
            raise ValueError(f"sharpness must be above 0, not {sharpness!r}")
        self.sharpness = sharpness

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """See :class:`TransformSurrogate`."""
        level = coefficients / step
        middle = level.floor() + 0.5
        within = torch.tanh(self.sharpness * (level - middle)) / (2 * math.tanh(self.sharpness / 2))
        return (middle + within) * step
