"""Monotone piecewise cubic interpolation (Fritsch and Butland 1984), integrated exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def _end_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    """One-sided three-point slope, kept from overshooting."""
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0):
        return 3 * d0
    return slope


def pchip_slopes(x: Floats, y: Floats) -> Floats:
    """Slopes at the knots; x strictly increasing, at least two points."""
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.array([d[0], d[0]])
    slopes = np.zeros_like(x)
    same_sign = d[:-1] * d[1:] > 0
    w0, w1 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    # Where neighbours disagree in sign the knot is an extremum and its slope zero.
    safe0, safe1 = np.where(same_sign, d[:-1], 1.0), np.where(same_sign, d[1:], 1.0)
    slopes[1:-1] = np.where(same_sign, (w0 + w1) / (w0 / safe0 + w1 / safe1), 0.0)
    slopes[0] = _end_slope(h[0], h[1], d[0], d[1])
    slopes[-1] = _end_slope(h[-1], h[-2], d[-1], d[-2])
    return slopes


def pchip_integral(x: Floats, y: Floats, low: float, high: float) -> float:
    """Integral of the interpolant from low to high, both within [x[0], x[-1]]."""
    c1, c2, c3 = _power_basis(x, y)

    def antiderivative(t: Floats) -> Floats:
        return t * (y[:-1] + t * (c1 / 2 + t * (c2 / 3 + t * c3 / 4)))

    # A segment outside of the limits begins and ends at the same place.
    begin, end = (np.clip(limit, x[:-1], x[1:]) - x[:-1] for limit in (low, high))
    return float((antiderivative(end) - antiderivative(begin)).sum())


def pchip(x: Floats, y: Floats, at: float) -> float:
    """The interpolant at a place within [x[0], x[-1]]."""
    c1, c2, c3 = _power_basis(x, y)
    i = min(max(int(np.searchsorted(x, at, side="right")) - 1, 0), len(x) - 2)
    t = at - x[i]
    return float(y[i] + t * (c1[i] + t * (c2[i] + t * c3[i])))


def _power_basis(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Factors of t, t², t³ of every segment's cubic in t = x - x[i]."""
    slopes, h = pchip_slopes(x, y), np.diff(x)
    chord = np.diff(y) / h
    return (
        slopes[:-1],
        (3 * chord - 2 * slopes[:-1] - slopes[1:]) / h,
        (slopes[:-1] + slopes[1:] - 2 * chord) / h**2,
    )
