"""Fits smooth lines through BPG's own curve, whose slope is what a bit is worth to a task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from npp.evaluation.score_checks import ROUNDING
from npp.pchip import Floats
from npp.training.baseline import LEAST_LOSS, Curve

# Where a parabola's slope falls below this part of the mean one, a straight line is taken instead.
_FLATTEST = 0.25


class Trend:
    """A smooth, monotone line through the logarithms of a curve's values.

    It is a parabola by least squares, or a straight line where the parabola would turn or nearly so.

    Args:
        name: what is fitted, for messages.
        qps: at least three.
        values: the curve's values at these.
        rising: whether values should rise with the qp, or fall.

    Raises:
        ValueError: values do not rise or fall so even on the whole, none is above 0, one is not finite, or
            one is below 0.
    """

    def __init__(self, name: str, qps: Sequence[int], values: Sequence[float], *, rising: bool) -> None:
        for qp, value in zip(qps, values, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"{name} is {'NaN' if math.isnan(value) else 'infinite'} at qp {qp}")
            if value < -ROUNDING:
                raise ValueError(
                    f"{name} is {value:.4g} at qp {qp}, and what is below 0 has no logarithm, which the "
                    "weights go by: add a constant to it"
                )
        if not max(values) > LEAST_LOSS:
            raise ValueError(
                f"{name} is nothing at any qp, as with a network that was not trained: {list(values)}; "
                "more photos may help"
            )
        x = np.asarray(qps, np.float64)
        y = np.log(np.maximum(np.asarray(values, np.float64), LEAST_LOSS))
        straight = np.polynomial.Polynomial.fit(x, y, 1)
        slope = float(straight.deriv()(x[0]))
        if not slope * (1 if rising else -1) > 0:
            direction = "rise" if rising else "fall"
            raise ValueError(
                f"{name} does not {direction} from qp {qps[0]} to {qps[-1]}: {list(values)}; "
                "more photos may help"
            )
        curved = np.polynomial.Polynomial.fit(x, y, 2)
        ends = curved.deriv()(x[[0, -1]]) / slope
        self._log = curved if ends.min() >= _FLATTEST else straight
        self._slope = self._log.deriv()

    def value(self, qps: npt.ArrayLike) -> Floats:
        """The fitted values at some qps."""
        return np.exp(np.asarray(self._log(np.asarray(qps, np.float64)), np.float64))

    def log_slope(self, qps: npt.ArrayLike) -> Floats:
        """The slope d log(value) / d qp at some qps."""
        return np.asarray(self._slope(np.asarray(qps, np.float64)), np.float64)


class Baseline:
    """BPG's own curve, fitted.

    Raises:
        ValueError: bits do not fall or a loss does not rise with the qp.
    """

    def __init__(self, curve: Curve) -> None:
        self._bpp = Trend("bpp", curve.qps, curve.bpp, rising=False)
        self._losses = {
            label: Trend(f"the loss of {label}", curve.qps, losses, rising=True)
            for label, losses in curve.losses.items()
        }

    def bpp(self, qps: npt.ArrayLike) -> Floats:
        """The bits a pixel at some qps."""
        return self._bpp.value(qps)

    def loss(self, label: str, qps: npt.ArrayLike) -> Floats:
        """A task's loss at some qps."""
        return self._losses[label].value(qps)

    def slope(self, label: str, qps: npt.ArrayLike) -> Floats:
        """λ = -d bpp / d loss: the bits a pixel that a unit of loss costs on BPG's own curve."""
        loss = self._losses[label]
        return -self.bpp(qps) * self._bpp.log_slope(qps) / (loss.value(qps) * loss.log_slope(qps))
