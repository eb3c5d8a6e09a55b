"""BD-rate on log-rate with piecewise cubic interpolation, and the curves that it compares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from npp.checks import brief
from npp.pchip import Floats, pchip, pchip_integral


def _array(name: str, values: npt.ArrayLike) -> Floats:
    try:
        return np.asarray(values, np.float64)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{name} must be a list of numbers, not {brief(values)}") from None


def _points(begin: str, rate: npt.ArrayLike, quality: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Rates and qualities as two equally long arrays; messages start with ``begin``."""
    r, q = _array(f"{begin}rate", rate), _array(f"{begin}quality", quality)
    if r.ndim != 1 or r.shape != q.shape:
        raise ValueError(
            f"{begin}rate and quality must be two equally long lists, not of shapes {r.shape} and {q.shape}"
        )
    return r, q


def _curve(name: str, rate: npt.ArrayLike, quality: npt.ArrayLike) -> tuple[list[float], list[float]]:
    """Log-rate and quality, by rising quality."""
    r, q = _points(f"{name}: ", rate, quality)
    if len(r) < 2:
        raise ValueError(
            f"{name}: a curve needs at least 2 points of which the costlier is better, not {len(r)}"
        )
    if not (np.isfinite(r).all() and np.isfinite(q).all() and (r > 0).all()):
        raise ValueError(
            f"{name}: rates must be positive and all values finite, not {r.tolist()}, {q.tolist()}"
        )
    order = np.argsort(q)
    if (np.diff(q[order]) <= 0).any():
        raise ValueError(f"{name}: quality values must differ, not {q.tolist()}; see npp.evaluation.monotone")
    return np.log10(r[order]).tolist(), q[order].tolist()


def bd_rate(
    anchor_rate: npt.ArrayLike, anchor_quality: npt.ArrayLike, rate: npt.ArrayLike, quality: npt.ArrayLike
) -> float:
    """Bjøntegaard delta rate in percent; negative means that bits are saved.

    Log-rate is interpolated over quality with PCHIP and compared where both curves have quality, as the
    ``bjontegaard`` package does with ``method="pchip"`` (Bjøntegaard, VCEG-M33, 2001; Barman et al.,
    arXiv 2304.12852).

    Args:
        anchor_rate, anchor_quality: the anchor's points (bits or bpp, and any quality that rises).
        rate, quality: the points of what is compared with it.

    Raises:
        ValueError: fewer than 2 points, rates that are not positive, equal qualities, or no overlap.
    """
    x0, q0 = _curve("anchor", anchor_rate, anchor_quality)
    x1, q1 = _curve("compared", rate, quality)
    low, high = max(q0[0], q1[0]), min(q0[-1], q1[-1])
    if low >= high:
        raise ValueError(
            f"the curves do not overlap: qualities {q0[0]:g}..{q0[-1]:g} and {q1[0]:g}..{q1[-1]:g}"
        )
    difference = (pchip_integral(q1, x1, low, high) - pchip_integral(q0, x0, low, high)) / (high - low)
    return float(100 * (10**difference - 1))


def overlap(anchor_quality: npt.ArrayLike, quality: npt.ArrayLike) -> float:
    """The fraction of two curves' joint quality range that both cover.

    Args:
        anchor_quality, quality: qualities of the curves' points, in any order; at least one each.

    Returns:
        0 to 1; 0 if all qualities are equal, for they span no range.

    Raises:
        ValueError: one is empty or no list of finite numbers.
    """
    a, b = _qualities("anchor_quality", anchor_quality), _qualities("quality", quality)
    common = min(a.max(), b.max()) - max(a.min(), b.min())
    joint = max(a.max(), b.max()) - min(a.min(), b.min())
    return float(max(0.0, common) / joint) if joint > 0 else 0.0


def _qualities(name: str, values: npt.ArrayLike) -> Floats:
    qualities = _array(name, values)
    if qualities.ndim != 1 or not len(qualities) or not np.isfinite(qualities).all():
        raise ValueError(f"{name} must be a list of finite numbers, at least one, not {brief(values)}")
    return qualities


def monotone(rate: npt.ArrayLike, quality: npt.ArrayLike) -> tuple[Floats, Floats]:
    """A curve without the points that need more bits for no more quality (noisy accuracies).

    Args:
        rate, quality: rates and qualities of the points, in any order.

    Returns:
        Rates and qualities, both strictly rising.

    Raises:
        ValueError: they are not two equally long lists of finite numbers.
    """
    rates, qualities = _points("", rate, quality)
    for name, values in (("rate", rates), ("quality", qualities)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, not {values.tolist()}")
    return rising_points(rates, qualities)


def rising_points(rates: Floats, qualities: Floats) -> tuple[Floats, Floats]:
    """A curve without the points that need more bits for no more quality, and without those that are NaN.

    Returns:
        Rates and qualities, both strictly rising.
    """
    valid = ~(np.isnan(rates) | np.isnan(qualities))
    r, q = rates[valid].tolist(), qualities[valid].tolist()
    kept: list[int] = []
    for i in sorted(range(len(r)), key=lambda index: (r[index], -q[index])):
        if not kept or q[i] > q[kept[-1]]:
            kept.append(i)
    return np.array([r[i] for i in kept]), np.array([q[i] for i in kept])


def log_rate_at(rates: Floats, qualities: Floats, quality: float) -> float | None:
    """Log10 of the rate that a curve needs for a quality.

    Args:
        rates, qualities: points of the curve, as :func:`rising_points` takes them; rates above 0.
        quality: the wanted quality.

    Returns:
        The logarithm; ``None`` if the curve does not reach the quality, or has fewer than two rising points.
    """
    rates, qualities = rising_points(rates, qualities)
    if len(rates) < 2 or not qualities[0] <= quality <= qualities[-1]:
        return None
    return pchip(qualities.tolist(), np.log10(rates).tolist(), quality)
