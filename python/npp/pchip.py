"""Piecewise cubic interpolation without overshoot (Fritsch and Butland, SIAM J. Sci. Comput. 5, 1984)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: y, then the factors of t, t² and t³, of a segment's cubic in t = x - x[i].
_Cubic = tuple[float, float, float, float]


def _end_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    """One-sided three-point slope, kept from overshooting."""
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0):
        return 3 * d0
    return slope


def _inner_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    """Weighted harmonic mean of the neighbouring slopes."""
    if d0 * d1 <= 0:
        # Where neighbours disagree in sign the knot is an extremum and its slope zero.
        return 0.0
    w0, w1 = 2 * h1 + h0, h1 + 2 * h0
    return (w0 + w1) / (w0 / d0 + w1 / d1)


def _cubics(x: Sequence[float], y: Sequence[float]) -> list[_Cubic]:
    """All segments; x strictly increasing, at least two points."""
    h = [b - a for a, b in pairwise(x)]
    d = [(b - a) / step for (a, b), step in zip(pairwise(y), h, strict=True)]
    if len(d) == 1:
        return [(y[0], d[0], 0.0, 0.0)]
    inner = [_inner_slope(*steps, *chords) for steps, chords in zip(pairwise(h), pairwise(d), strict=True)]
    slopes = [_end_slope(h[0], h[1], d[0], d[1]), *inner, _end_slope(h[-1], h[-2], d[-1], d[-2])]
    return [
        (y[i], s0, (3 * chord - 2 * s0 - s1) / step, (s0 + s1 - 2 * chord) / step**2)
        for i, (step, chord, (s0, s1)) in enumerate(zip(h, d, pairwise(slopes), strict=True))
    ]


def _antiderivative(cubic: _Cubic, t: float) -> float:
    c0, c1, c2, c3 = cubic
    return t * (c0 + t * (c1 / 2 + t * (c2 / 3 + t * c3 / 4)))


def pchip_integral(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    """Integral of the interpolant from low to high, both within [x[0], x[-1]]."""
    total = 0.0
    for i, cubic in enumerate(_cubics(x, y)):
        begin, end = max(low, x[i]), min(high, x[i + 1])
        if begin < end:
            total += _antiderivative(cubic, end - x[i]) - _antiderivative(cubic, begin - x[i])
    return total


def pchip(x: Sequence[float], y: Sequence[float], at: float) -> float:
    """The interpolant at a place within [x[0], x[-1]]."""
    i = min(max(bisect_right(x, at) - 1, 0), len(x) - 2)
    c0, c1, c2, c3 = _cubics(x, y)[i]
    t = at - x[i]
    return c0 + t * (c1 + t * (c2 + t * c3))
