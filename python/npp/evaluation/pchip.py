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
    slopes = pchip_slopes(x, y)
    total = 0.0
    for i, h in enumerate(np.diff(x)):
        begin, end = max(low, x[i]), min(high, x[i + 1])
        if begin < end:
            # Power basis of the cubic Hermite segment in t = x - x[i].
            chord = (y[i + 1] - y[i]) / h
            c2 = (3 * chord - 2 * slopes[i] - slopes[i + 1]) / h
            c3 = (slopes[i] + slopes[i + 1] - 2 * chord) / h**2
            polynomial = np.polynomial.Polynomial([y[i], slopes[i], c2, c3]).integ()
            total += float(polynomial(end - x[i]) - polynomial(begin - x[i]))
    return total
