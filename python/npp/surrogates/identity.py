"""Straight through: the decoded picture moves as the input does."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from npp.options import ResolvedOptions
from npp.surrogates.planes import PictureLayout
from npp.surrogates.protocol import Estimate, Real
from npp.surrogates.rate import picture_bpp


class Identity:
    """x_hat = x, with the rate model's bits. The folklore baseline (Bengio et al., arXiv 1308.3432)."""

    needs_real: ClassVar[bool] = False

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: ResolvedOptions) -> Estimate:
        """See :class:`npp.surrogates.Surrogate`."""
        planes = PictureLayout(options, x.shape, qp).split(x)
        return Estimate(x, picture_bpp(planes, x.shape[-2] * x.shape[-1]))
