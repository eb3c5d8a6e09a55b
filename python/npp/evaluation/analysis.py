"""Analysis of measurements: BD-rates with intervals, differences of arms, spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npp.evaluation.bd_rate import bd_rate, log_rate_at, monotone, overlap
from npp.evaluation.bd_rate_bootstrap import (
    BDInterval,
    ResampledBDRate,
    bd_rate_of_resamplings,
    picture_counts,
    resampled_means,
)
from npp.evaluation.evaluate_config import Analysis
from npp.evaluation.judges import TINY, Axis
from npp.evaluation.measured_values import ArmMeasurements, Measurements
from npp.evaluation.score_checks import ROUNDING
from npp.pchip import Floats
from npp.progress import Stage

# Average precision uses the first resamplings only, for a thousand take a second.
_AP_SAMPLES = 200


@dataclass(frozen=True)
class Comparison:
    """Comparison of one arm with another over one quality.

    Attributes:
        arm, against: names of the two arms.
        axis: the quality.
        interval: BD-rate in percent; ``low`` and ``high`` are NaN for metrics of all pictures together.
        overlap: fraction (0 to 1) of the two curves' joint quality range that both cover.
        problem: the reason why there is no BD-rate, or ``None``.
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
    """BD-rates of arms that differ by their seed only.

    Attributes:
        values: percent against the anchor, one for each arm.
        mean, deviation: mean and sample deviation of the values; the deviation of a single value is 0.
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
        """The comparison of these arms over this quality."""
        return next(
            comparison
            for comparison in self.comparisons
            if comparison.arm == arm and comparison.against == against and comparison.axis == axis
        )


def rate_at(arm: ArmMeasurements, axis: Axis, value: float) -> float | None:
    """Mean bpp that an arm needs for a value of a quality; ``None`` if its curve does not reach it."""
    quality = float(axis.quality(np.array(value)))
    log_rate = log_rate_at(arm.bpp.mean(axis=1), axis.quality(arm.points(axis)), quality)
    return None if log_rate is None else float(10**log_rate)


class Analyst:
    """Compares the arms of some measurements; each bootstrap is computed once.

    Args:
        measured: the measurements.
        analysis: the wanted comparisons and the settings of the bootstrap.
        anchor: the arm that all others are compared with.
    """

    def __init__(self, measured: Measurements, analysis: Analysis, anchor: str) -> None:
        self._measured, self._analysis, self._anchor = measured, analysis, anchor
        self._resampled: dict[tuple[str, str, Axis], ResampledBDRate] = {}
        self._tables: dict[tuple[str, Axis], Floats] = {}
        self._drawn: Floats | None = None
        self._least: dict[Axis, float] = {}

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
        sampled = [axis for axis in axes if self._can_resample(axis)]
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
        return Findings(
            tuple(comparisons), differences, tuple(spread for spread in spreads if spread is not None)
        )

    def _quality(self, axis: Axis, means: Floats) -> Floats:
        """Mean scores as quality (:meth:`Axis.quality`), on the same scale for all arms.

        An error of 0 counts as half of the smallest nonzero error of any arm, for its logarithm is infinite.

        Raises:
            ValueError: lower is better, and the mean of an arm is below 0.
        """
        if axis not in self._least:
            every = np.concatenate([arm.points(axis) for arm in self._measured.arms.values()])
            if not axis.higher_is_better and every.min() < -ROUNDING:
                raise ValueError(f"{axis.name} is {every.min():.3g}, and what is below 0 has no logarithm")
            left = every[every > 0]
            self._least[axis] = float(left.min()) / 2 if len(left) else TINY
        return axis.quality(means, self._least[axis])

    def _resampled_quality(self, arm: str, axis: Axis, counts: Floats) -> Floats:
        """Quality (qps, resamplings) of an arm, on the rising scale of :meth:`Axis.quality`."""
        key = arm, axis
        if key not in self._tables:
            measurements = self._measured.arms[arm]
            if axis.dataset:
                weights = counts / len(counts)
                rows = [
                    matches.resampled(axis.name, weights) for matches in measurements.matches[axis.network]
                ]
                self._tables[key] = self._quality(axis, np.stack(rows))
            else:
                means = resampled_means(measurements.scores[axis.network, axis.name], counts)
                self._tables[key] = self._quality(axis, means)
        return self._tables[key]

    def _counts(self, axis: Axis) -> Floats:
        if self._drawn is None:
            pictures = len(self._measured.pictures)
            self._drawn = picture_counts(pictures, self._analysis.samples, self._analysis.seed)
        return self._drawn[:, : 1 + _AP_SAMPLES] if axis.dataset else self._drawn

    def _resample(self, arm: str, against: str, axis: Axis) -> ResampledBDRate:
        key = arm, against, axis
        if key not in self._resampled:
            counts = self._counts(axis)
            tables = []
            for name in (against, arm):
                rates = resampled_means(self._measured.arms[name].bpp, counts)
                tables += [rates, self._resampled_quality(name, axis, counts)]
            self._resampled[key] = bd_rate_of_resamplings(*tables)
        return self._resampled[key]

    def _can_resample(self, axis: Axis) -> bool:
        """Whether the quality can be resampled over pictures: metrics cannot, unless their matches are kept.

        A single picture cannot be resampled.
        """
        return len(self._measured.pictures) > 1 and (not axis.dataset or axis.true)

    def _interval(self, arm: str, against: str, axis: Axis) -> BDInterval:
        if self._can_resample(axis):
            return self._resample(arm, against, axis).interval(self._analysis.confidence)
        curves = []
        for name in (against, arm):
            measurements = self._measured.arms[name]
            curves += list(
                monotone(measurements.bpp.mean(axis=1), self._quality(axis, measurements.points(axis)))
            )
        return BDInterval(bd_rate(*curves), float("nan"), float("nan"))

    def _compare(self, arm: str, against: str, axis: Axis) -> Comparison:
        try:
            qualities = [
                self._quality(axis, self._measured.arms[name].points(axis)) for name in (against, arm)
            ]
        except ValueError as error:
            return Comparison(arm, against, axis, None, 0.0, str(error))
        joint = np.concatenate(qualities)
        shared = overlap(*qualities) if joint.max() > joint.min() else 0.0
        try:
            return Comparison(arm, against, axis, self._interval(arm, against, axis), shared)
        except ValueError as error:
            apart = shared == 0 and max(map(np.min, qualities)) > min(map(np.max, qualities))
            problem = self._flat(arm, against, axis)
            problem = problem or (self._apart(arm, against, axis) if apart else str(error))
            return Comparison(arm, against, axis, None, shared, problem)

    def _flat(self, arm: str, against: str, axis: Axis) -> str | None:
        """Why an arm's points make no curve, in the quality's own numbers; ``None`` where both make one."""
        for name in (against, arm):
            measurements = self._measured.arms[name]
            points = measurements.points(axis)
            if wrong := int((~np.isfinite(points)).sum()):
                return f"{axis.name} is no finite number at {wrong} of {len(points)} qps with {name}"
            if len(monotone(measurements.bpp.mean(axis=1), self._quality(axis, points))[0]) > 1:
                continue
            if points.min() == points.max():
                return f"{axis.name} is {points[0]:.3g} at every qp with {name}, which makes no curve"
            gone = int((points <= 0).sum())
            if not axis.higher_is_better and gone:
                return (
                    f"{axis.name} is not above 0 at {gone} of {len(points)} qps with {name}: the rest makes "
                    "no curve"
                )
            return f"{axis.name} gets nowhere better with more bits with {name}, which makes no curve"
        return None

    def _apart(self, arm: str, against: str, axis: Axis) -> str:
        """The message about two curves that have no quality in common, with their ranges."""
        ends = []
        for name in (against, arm):
            points = self._measured.arms[name].points(axis)
            ends.append(f"{points.min():.3g} to {points.max():.3g} with {name}")
        return f"the curves do not overlap: {axis.name} is {ends[0]}, {ends[1]}"

    def _difference(self, first: str, second: str, axis: Axis) -> Difference:
        try:
            # The anchor compared with itself is zero in every resampling.
            first_rates, second_rates = (self._resample(arm, self._anchor, axis) for arm in (first, second))
            interval = first_rates.minus(second_rates).interval(self._analysis.confidence)
        except ValueError as error:
            return Difference(first, second, axis, None, str(error))
        return Difference(first, second, axis, interval)

    def _spread(
        self, group: str, members: Sequence[str], axis: Axis, comparisons: Sequence[Comparison]
    ) -> Spread | None:
        """The spread of a group's BD-rates; ``None`` if one of its arms has none."""
        by_arm = {
            comparison.arm: comparison.interval
            for comparison in comparisons
            if comparison.against == self._anchor and comparison.axis == axis
        }
        intervals = [by_arm[arm] for arm in members]
        values = tuple(interval.value for interval in intervals if interval is not None)
        if len(values) < len(intervals):
            return None
        return Spread(
            group, tuple(members), axis, values, float(np.mean(values)), float(np.std(values, ddof=1))
        )
