"""The real codec's effect on each coefficient, held fixed as a factor."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from npp.surrogates.transform import TransformSurrogate


class Scaled(TransformSurrogate):
    """A coefficient's gradient is scaled by how much of it the codec kept.

    The factor is c ĉ / (c² + (softness · step)²), c of the input and ĉ of the real reconstruction: the
    codec's own error, read as a gain and held fixed. After SCALED (arXiv 2602.00198), in our reading.

    Args:
        softness: above 0, in steps; keeps the factor small where c itself is small.
    """

    needs_real: ClassVar[bool] = True

    def __init__(self, softness: float = 0.3) -> None:
        if not softness > 0:
            raise ValueError(f"softness must be above 0, not {softness!r}")
        self.softness = softness

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """See :class:`TransformSurrogate`."""
        assert decoded is not None
        fixed = coefficients.detach()
        gain = fixed * decoded / (fixed.square() + (self.softness * step).square())
        return coefficients * gain
