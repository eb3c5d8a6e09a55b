"""BD-rates of resamplings of the pictures, and confidence intervals from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npp.checks import number, whole
from npp.evaluation.bd_rate import bd_rate, monotone
from npp.pchip import Floats

#: Of the bootstrap.
MOST_SAMPLES = 1_000_000


@dataclass(frozen=True)
class BDInterval:
    """A BD-rate in percent, or a difference of two in points, with its bootstrap interval over pictures.

    Attributes:
        value: value for all pictures.
        low, high: ends of the interval.
        comparable: fraction of the resamplings in which the curves overlap; the interval is from those.
    """

    value: float
    low: float
    high: float
    comparable: float = 1.0

    def __str__(self) -> str:
        return f"{self.value:+.1f} % [{self.low:+.1f}, {self.high:+.1f}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def check_confidence(confidence: float) -> None:
    """Raises ValueError unless the confidence is a number between 0 and 1."""
    if number("confidence", confidence, 0, 1) in (0, 1):
        raise ValueError(f"confidence must be between 0 and 1, not {confidence!r}")


@dataclass(frozen=True)
class ResampledBDRate:
    """A BD-rate for all pictures and for every resampling of them.

    Attributes:
        value: percent, for all pictures.
        rates: percent, for each resampling; NaN if the curves do not overlap.
    """

    value: float
    rates: Floats

    def interval(self, confidence: float = 0.95) -> BDInterval:
        """The confidence interval, from quantiles of the resamplings.

        Args:
            confidence: fraction of the resamplings within it, between 0 and 1.

        Raises:
            ValueError: ``confidence`` is out of range, or the curves overlap in no resampling.
        """
        check_confidence(confidence)
        rates = self.rates[np.isfinite(self.rates)]
        if len(rates) == 0:
            raise ValueError("the curves overlap in no resampling")
        low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2])
        return BDInterval(self.value, float(low), float(high), len(rates) / len(self.rates))

    def minus(self, other: ResampledBDRate) -> ResampledBDRate:
        """The paired difference in percentage points; both must come from the same pictures and seed.

        Raises:
            ValueError: the numbers of resamplings differ.
        """
        if len(self.rates) != len(other.rates):
            raise ValueError(
                f"both need the same resamplings, not {len(self.rates)} and {len(other.rates)} of them"
            )
        return ResampledBDRate(self.value - other.value, self.rates - other.rates)


def picture_counts(pictures: int, samples: int, seed: int) -> Floats:
    """How often each picture counts, (pictures, 1 + samples): once, then as each resampling drew it."""
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(np.arange(pictures), pictures) for _ in range(samples)]
    counts = [np.ones(pictures), *(np.bincount(indices, minlength=pictures) for indices in drawn)]
    return np.stack(counts, axis=1)


def resampled_means(scores: Floats, counts: Floats) -> Floats:
    """Means (points, 1 + samples) of scores (points, pictures).

    The division comes last, so that accuracies from equal counts are exactly equal.
    """
    return (scores @ counts) / len(counts)


def resample_bd_rate(
    anchor_bpp: npt.ArrayLike,
    anchor_quality: npt.ArrayLike,
    bpp: npt.ArrayLike,
    quality: npt.ArrayLike,
    *,
    summarise: Callable[[Floats], Floats] = lambda mean: mean,
    samples: int = 1000,
    seed: int = 0,
) -> ResampledBDRate:
    """BD-rate of the mean curves, of all pictures and of resamplings of them.

    The same seed and number of pictures draw the same resamplings, so that two results can be compared
    pairwise (:meth:`ResampledBDRate.minus`). Arguments and exceptions as for :func:`bootstrap_bd_rate`.
    """
    whole("samples", samples, 1, MOST_SAMPLES)
    arms = [np.asarray(a, np.float64) for a in (anchor_bpp, anchor_quality, bpp, quality)]
    if arms[0].ndim != 2 or arms[0].shape != arms[1].shape or arms[2].shape != arms[3].shape:
        raise ValueError(f"(points, pictures) arrays are needed, not {[a.shape for a in arms]}")
    if arms[0].shape[1] != arms[2].shape[1]:
        raise ValueError(f"both arms need the same pictures, not {arms[0].shape[1]} and {arms[2].shape[1]}")
    counts = picture_counts(arms[0].shape[1], samples, seed)
    r0, q0, r1, q1 = (resampled_means(arm, counts) for arm in arms)
    return bd_rate_of_resamplings(r0, summarise(q0), r1, summarise(q1))


def bd_rate_of_resamplings(
    anchor_rates: Floats, anchor_qualities: Floats, rates: Floats, qualities: Floats
) -> ResampledBDRate:
    """BD-rate of curves that are resampled already.

    Args:
        anchor_rates, anchor_qualities, rates, qualities: (points, 1 + samples), all pictures first, then each
            resampling; qualities rise, see :meth:`npp.evaluation.judges.Axis.quality`.

    Raises:
        ValueError: the curves of all pictures do not overlap.
    """

    def rate(i: int) -> float:
        return bd_rate(
            *monotone(anchor_rates[:, i], anchor_qualities[:, i]), *monotone(rates[:, i], qualities[:, i])
        )

    def resampled(i: int) -> float:
        try:
            return rate(i)
        except ValueError:
            return float("nan")

    return ResampledBDRate(rate(0), np.array([resampled(i) for i in range(1, rates.shape[1])]))


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
        samples: number of resamplings, 1 to 1,000,000; those without overlap of the curves are left out.
        confidence: confidence of the interval, between 0 and 1.
        seed: seed of the resampling.

    Raises:
        ValueError: the arrays' shapes do not match, another value is out of its range, or the curves do not
            overlap.
    """
    check_confidence(confidence)
    resampled = resample_bd_rate(
        anchor_bpp, anchor_quality, bpp, quality, summarise=summarise, samples=samples, seed=seed
    )
    return resampled.interval(confidence)
