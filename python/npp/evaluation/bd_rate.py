"""BD-rate: how many bits one codec needs more than another at equal quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npp.evaluation.pchip import Floats, pchip_integral


def _curve(name: str, rate: npt.ArrayLike, quality: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Log-rate and quality, by rising quality."""
    r, q = np.asarray(rate, np.float64), np.asarray(quality, np.float64)
    if r.ndim != 1 or r.shape != q.shape or len(r) < 2:
        raise ValueError(
            f"{name}: rate and quality must be two equally long lists of at least 2 points, "
            f"not {r.shape} and {q.shape}"
        )
    if not (np.isfinite(r).all() and np.isfinite(q).all() and (r > 0).all()):
        raise ValueError(
            f"{name}: rates must be positive and all values finite, not {r.tolist()}, {q.tolist()}"
        )
    order = np.argsort(q)
    if (np.diff(q[order]) <= 0).any():
        raise ValueError(f"{name}: quality values must differ, not {q.tolist()}; see npp.evaluation.monotone")
    return np.log10(r[order]), q[order]


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
    """The part (0 to 1) of the two curves' joint quality range that both have."""
    a, b = np.asarray(anchor_quality, np.float64), np.asarray(quality, np.float64)
    common = min(a.max(), b.max()) - max(a.min(), b.min())
    return float(max(0.0, common) / (max(a.max(), b.max()) - min(a.min(), b.min())))


def monotone(rate: npt.ArrayLike, quality: npt.ArrayLike) -> tuple[Floats, Floats]:
    """A curve without the points that need more bits for no more quality (noisy accuracies).

    Returns:
        Rates and qualities, both strictly rising.
    """
    r, q = np.asarray(rate, np.float64), np.asarray(quality, np.float64)
    kept: list[int] = []
    for i in np.argsort(r, kind="stable"):
        if not kept or (q[i] > q[kept[-1]] and r[i] > r[kept[-1]]):
            kept.append(int(i))
    return r[kept], q[kept]


@dataclass(frozen=True)
class BDInterval:
    """A BD-rate in percent with its bootstrap interval over pictures."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} % [{self.low:+.1f}, {self.high:+.1f}]"


def bootstrap_bd_rate(
    anchor_bpp: npt.ArrayLike,
    anchor_quality: npt.ArrayLike,
    bpp: npt.ArrayLike,
    quality: npt.ArrayLike,
    *,
    summarise: Callable[[Floats], Floats] = lambda mean: mean,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BDInterval:
    """BD-rate of the mean curves, with an interval from resampling the pictures.

    Args:
        anchor_bpp, anchor_quality, bpp, quality: (points, pictures); the same pictures in both arms.
        summarise: turns mean quality into the axis of comparison, for example
            ``lambda kl: -np.log(kl)``.
        samples: number of resamplings; those without overlap of the curves are left out.
        confidence: of the interval.
        seed: of the resampling.

    Raises:
        ValueError: the arrays' shapes do not match, or the curves do not overlap.
    """
    arms = [np.asarray(a, np.float64) for a in (anchor_bpp, anchor_quality, bpp, quality)]
    if arms[0].ndim != 2 or arms[0].shape != arms[1].shape or arms[2].shape != arms[3].shape:
        raise ValueError(f"(points, pictures) arrays are needed, not {[a.shape for a in arms]}")
    if arms[0].shape[1] != arms[2].shape[1]:
        raise ValueError(f"both arms need the same pictures, not {arms[0].shape[1]} and {arms[2].shape[1]}")

    def rate(chosen: npt.NDArray[np.int64]) -> float:
        r0, q0, r1, q1 = (a[:, chosen].mean(axis=1) for a in arms)
        return bd_rate(*monotone(r0, summarise(q0)), *monotone(r1, summarise(q1)))

    def resampled() -> float:
        try:
            return rate(generator.choice(np.arange(count), count))
        except ValueError:
            return float("nan")

    count = arms[0].shape[1]
    generator = np.random.default_rng(seed)
    rates = np.array([resampled() for _ in range(samples)])
    values = rates[np.isfinite(rates)]
    if len(values) == 0:
        raise ValueError("the curves overlap in no resampling")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return BDInterval(rate(np.arange(count)), float(low), float(high))
