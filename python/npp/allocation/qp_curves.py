"""Curves of one picture's bits and losses over the qp, from measurements at a few qps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.checks import MAX_QP, QP_COUNT, brief, number
from npp.pchip import Floats, pchip

#: Losses are sums of numbers near 1 in single precision, so that anything smaller is rounding.
LEAST_SURE = 2.0**-23
_LEAST_LOSS = 1e-4


def positive_numbers(name: str, values: Tensor | npt.ArrayLike) -> Floats:
    """Values of any kind and device as an array of doubles.

    Raises:
        ValueError: a value is no number, not finite, or not above 0.
    """
    numbers = doubles(name, values)
    if not np.isfinite(numbers).all() or (numbers <= 0).any():
        raise ValueError(f"{name} must hold finite numbers above 0")
    return numbers


def doubles(name: str, values: Tensor | npt.ArrayLike) -> Floats:
    """Values as an array of doubles, without their gradients.

    Raises:
        ValueError: they are no numbers.
    """
    try:
        tensor = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach()
    except (OverflowError, RuntimeError, TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers, not {brief(values)}") from None
    array: Floats = tensor.numpy()
    return array


def least_loss(losses: Sequence[float]) -> float:
    """The loss that smaller losses of a set's pictures count as, for next to the mean they are rounding."""
    return max(_LEAST_LOSS * float(np.mean(np.maximum(losses, 0.0))), LEAST_SURE)


class QpCurve:
    """A curve whose log2 is a piecewise cubic of the qp, and straight outside of its points."""

    def __init__(self, name: str, qps: Sequence[int], values: Sequence[float], *, falls: bool) -> None:
        if not isinstance(qps, (Sequence, np.ndarray)) or isinstance(qps, (str, bytes)):
            raise ValueError(f"qps must be a list of qps, not {brief(qps)}")
        for qp in qps:
            number("each of qps", qp, 0, MAX_QP)
        numbers = positive_numbers(name, values)
        if len(qps) < 2 or numbers.shape != (len(qps),) or list(qps) != sorted(set(qps)):
            raise ValueError(f"qps must be at least two rising ones with {name} for each, not {list(qps)}")
        self._qps = [float(qp) for qp in qps]
        monotone = np.minimum if falls else np.maximum
        self._logarithms: list[float] = monotone.accumulate(np.log2(numbers)).tolist()

    def at(self, qp: float) -> float:
        """The value at one qp, 0 to 51, which need not be whole.

        Raises:
            ValueError: another qp.
        """
        return float(2 ** self._log_at(number("qp", qp, 0, MAX_QP)))

    def table(self) -> Floats:
        """(52,) values at qp 0 to 51."""
        return np.array([self.at(qp) for qp in range(QP_COUNT)])

    def _log_at(self, qp: float) -> float:
        x, y = self._qps, self._logarithms
        if x[0] <= qp <= x[-1]:
            return pchip(x, y, qp)
        near, inner = (0, 1) if qp < x[0] else (-1, -2)
        return y[near] + (y[near] - y[inner]) / (x[near] - x[inner]) * (qp - x[near])


class RateCurve(QpCurve):
    """Bits of one picture at every qp, from a few encodes; they never rise with the qp.

    Args:
        qps: at least two from 0 to 51, rising.
        bits: of the files at these qps, above 0.

    Raises:
        ValueError: other qps, or bits that are not above 0.
    """

    def __init__(self, qps: Sequence[int], bits: Sequence[float]) -> None:
        super().__init__("bits", qps, bits, falls=True)


class LossCurve(QpCurve):
    """A network's loss on one picture at every qp, from a few files; it never falls with the qp.

    Args:
        qps: at least two from 0 to 51, rising.
        losses: above 0, on any scale.

    Raises:
        ValueError: other qps, or losses that are not above 0.
    """

    def __init__(self, qps: Sequence[int], losses: Sequence[float]) -> None:
        super().__init__("losses", qps, losses, falls=False)
