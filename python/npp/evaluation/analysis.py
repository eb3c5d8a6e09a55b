"""What the measurements say: BD-rates with intervals, differences of arms, spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npp.evaluation.bd_rate import BDInterval, ResampledBDRate, bd_rate, monotone, overlap, resample_bd_rate
from npp.evaluation.evaluate_config import Analysis
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import Measurements
from npp.evaluation.measuring import Stage


@dataclass(frozen=True)
class Comparison:
    """One arm against another over one quality.

    Attributes:
        arm, against: their names.
        axis: the quality.
        interval: BD-rate in percent; ``low`` and ``high`` are NaN for metrics of all pictures together.
        overlap: part (0 to 1) of the two curves' joint quality range that both have.
        problem: why there is no BD-rate, or ``None``.
    """

    arm: str
    against: str
    axis: Axis
    interval: BDInterval | None
    overlap: float
    problem: str | None = None


@dataclass(frozen=True)
class Difference:
    """The BD-rate of one arm minus that of another, both against the anchor, in points."""

    first: str
    second: str
    axis: Axis
    interval: BDInterval | None
    problem: str | None = None


@dataclass(frozen=True)
class Spread:
    """The BD-rates of arms that differ by their seed only.

    Attributes:
        values: percent against the anchor, an arm each.
        mean, deviation: of the values; the deviation is the sample's, 0 for a single value.
    """

    group: str
    arms: tuple[str, ...]
    axis: Axis
    values: tuple[float, ...]
    mean: float
    deviation: float


@dataclass(frozen=True)
class Findings:
    """All comparisons."""

    comparisons: tuple[Comparison, ...]
    differences: tuple[Difference, ...]
    spreads: tuple[Spread, ...]

    def find(self, arm: str, against: str, axis: Axis) -> Comparison:
        """One comparison."""
        return next(
            one for one in self.comparisons if one.arm == arm and one.against == against and one.axis == axis
        )


class Analyst:
    """Compares the arms of some measurements; every bootstrap is made once.

    Args:
        measured: the measurements.
        analysis: which comparisons, and the bootstrap's settings.
        anchor: the arm that everything is quoted against.
    """

    def __init__(self, measured: Measurements, analysis: Analysis, anchor: str) -> None:
        self._measured, self._analysis, self._anchor = measured, analysis, anchor
        self._resampled: dict[tuple[str, str, Axis], ResampledBDRate] = {}

    def findings(self, stage: Stage) -> Findings:
        """All comparisons that the configuration asks for."""
        arms, axes = list(self._measured.arms), self._measured.axes
        pairs = [
            (arm, against)
            for against in dict.fromkeys((self._anchor, *self._analysis.others))
            for arm in arms
            if arm != against
        ]
        progress = stage("comparing", len(pairs) * len(axes))
        comparisons = []
        for arm, against in pairs:
            for axis in axes:
                comparisons.append(self._compare(arm, against, axis))
                progress(1)
        sampled = [axis for axis in axes if not axis.dataset]
        differences = tuple(
            self._difference(first, second, axis)
            for first, second in self._analysis.differences
            for axis in sampled
        )
        spreads = [
            self._spread(group, members, axis, comparisons)
            for group, members in self._analysis.groups.items()
            for axis in axes
        ]
        return Findings(tuple(comparisons), differences, tuple(one for one in spreads if one is not None))

    def _resample(self, arm: str, against: str, axis: Axis) -> ResampledBDRate:
        key = arm, against, axis
        if key not in self._resampled:
            one, other = self._measured.arms[arm], self._measured.arms[against]
            score = axis.network, axis.name
            self._resampled[key] = resample_bd_rate(
                other.bpp,
                other.scores[score],
                one.bpp,
                one.scores[score],
                summarise=axis.heights,
                samples=self._analysis.samples,
                seed=self._analysis.seed,
            )
        return self._resampled[key]

    def _interval(self, arm: str, against: str, axis: Axis) -> BDInterval:
        if not axis.dataset:
            return self._resample(arm, against, axis).interval(self._analysis.confidence)
        curves = []
        for name in (against, arm):
            found = self._measured.arms[name]
            curves += list(monotone(found.bpp.mean(axis=1), axis.heights(found.points(axis))))
        return BDInterval(bd_rate(*curves), float("nan"), float("nan"))

    def _compare(self, arm: str, against: str, axis: Axis) -> Comparison:
        heights = [axis.heights(self._measured.arms[name].points(axis)) for name in (against, arm)]
        joint = np.concatenate(heights)
        shared = overlap(*heights) if joint.max() > joint.min() else 0.0
        try:
            return Comparison(arm, against, axis, self._interval(arm, against, axis), shared)
        except ValueError as error:
            return Comparison(arm, against, axis, None, shared, str(error))

    def _difference(self, first: str, second: str, axis: Axis) -> Difference:
        try:
            # The anchor against itself is zero in every resampling.
            one, other = (self._resample(arm, self._anchor, axis) for arm in (first, second))
            interval = one.minus(other).interval(self._analysis.confidence)
        except ValueError as error:
            return Difference(first, second, axis, None, str(error))
        return Difference(first, second, axis, interval)

    def _spread(
        self, group: str, members: Sequence[str], axis: Axis, comparisons: Sequence[Comparison]
    ) -> Spread | None:
        """``None`` where an arm of the group has no BD-rate."""
        by_arm = {
            one.arm: one.interval for one in comparisons if one.against == self._anchor and one.axis == axis
        }
        intervals = [by_arm[arm] for arm in members]
        values = tuple(one.value for one in intervals if one is not None)
        if len(values) < len(intervals):
            return None
        return Spread(
            group, tuple(members), axis, values, float(np.mean(values)), float(np.std(values, ddof=1))
        )
