"""Straight through for what the real reconstruction kept."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from npp.surrogates.transform import TransformSurrogate


class Masked(TransformSurrogate):
    """Passes the gradient of the coefficients that are there in the codec's own reconstruction.

    Args:
        threshold: least size of a decoded coefficient, in steps, to count as kept; not negative.
    """

    needs_real: ClassVar[bool] = True

    def __init__(self, threshold: float = 0.25) -> None:
        if not threshold >= 0:
            raise ValueError(f"threshold must be 0 or more, not {threshold!r}")
        self.threshold = threshold

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """See :class:`TransformSurrogate`."""
        assert decoded is not None
        return coefficients * (decoded.abs() > self.threshold * step).to(coefficients.dtype)
