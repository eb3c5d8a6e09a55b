"""Gates on the gradient of each coefficient, from the input alone."""

from __future__ import annotations

from torch import Tensor

from npp.surrogates.transform import TransformSurrogate


class Gated(TransformSurrogate):
    """A coefficient's gradient passes as far as the coefficient is large enough to be coded.

    The gate is sigmoid((|c| / step - threshold) / width), held fixed: it scales the gradient and has none
    itself.

    Args:
        threshold: in steps. A dead-zone quantiser codes what is above about 0.6; what an encoder keeps for
            good is above 1.
        width: softness of the gate in steps, above 0.
        floor: least gate, 0 to 1. Networks need about 0.35: what is gated off entirely never comes back.
    """

    def __init__(self, threshold: float = 1.0, width: float = 0.25, floor: float = 0.0) -> None:
        if not width > 0:
            raise ValueError(f"width must be above 0, not {width!r}")
        if not 0 <= floor <= 1:
            raise ValueError(f"floor must be from 0 to 1, not {floor!r}")
        self.threshold = threshold
        self.width = width
        self.floor = floor

    def map_coefficients(
        self, coefficients: Tensor, step: Tensor, decoded: Tensor | None, qp: Tensor
    ) -> Tensor:
        """See :class:`TransformSurrogate`."""
        level = coefficients.detach().abs().div_(step * self.width)
        gate = level.sub_(self.threshold / self.width).sigmoid_()
        if self.floor:
            gate.mul_(1 - self.floor).add_(self.floor)
        return coefficients * gate
