"""Choice of sizes, sigmas and codec options on selection photos, which are not reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from npp.checks import MAX_QP
from npp.codec.options import CodecOptions
from npp.evaluation.arms import Arm, ArmConfig, ArmParts
from npp.evaluation.bd_rate import bd_rate, log_rate_at, monotone
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import Measurements
from npp.evaluation.measuring import Measurer
from npp.evaluation.prefilters import BEST, BlurByQp, Unfiltered
from npp.pchip import Floats
from npp.progress import Progress, Stage
from npp.recipes import ScaleRule

# The unblurred curve extends by this many qps at both ends, so that blurred points there lie within it.
_MARGIN = 4


def curve_qps(qps: Sequence[int]) -> tuple[int, ...]:
    """The qps of the unblurred curve: those of the evaluation, and one more at each end."""
    return tuple(sorted({max(0, min(qps) - _MARGIN), *qps, min(MAX_QP, max(qps) + _MARGIN)}))


def searched_cells(qps: Sequence[int], candidates: int) -> int:
    """Number of measurements of every photo in a search."""
    return len(curve_qps(qps)) + len(qps) * candidates


def blur_arms(plain: Arm, sigmas: Sequence[float], qps: Sequence[int]) -> dict[float, Arm]:
    """An arm for every sigma above 0."""
    return {
        sigma: replace(plain, name=f"sigma {sigma:g}", prefilter=BlurByQp(dict.fromkeys(qps, sigma)))
        for sigma in sigmas
        if sigma > 0
    }


def scale_arms(plain: Arm, factors: Sequence[float]) -> dict[float, Arm]:
    """An arm for every factor below 1."""
    return {
        factor: replace(plain, name=f"scale {factor:g}", scale=ScaleRule({0.0: factor}))
        for factor in factors
        if factor < 1
    }


def rate_offset(curve_bpp: Floats, curve_quality: Floats, bpp: float, quality: float) -> float:
    """Log10 of the ratio of a point's rate to the rate that a curve needs for the same quality.

    Returns:
        A negative number if the point saves bits; infinity if the curve does not reach its quality.
    """
    needed = log_rate_at(curve_bpp, curve_quality, quality)
    return float("inf") if needed is None else float(np.log10(bpp)) - needed


@dataclass(frozen=True)
class Candidates:
    """A plain arm and variants of it, measured on the same photos.

    Attributes:
        plain: the plain arm, at more qps.
        plain_arm: its name.
        others: the variants.
        values: what makes each of them, by name.
        axis: the quality.
    """

    plain: Measurements
    plain_arm: str
    others: Measurements
    values: Mapping[str, float]
    axis: Axis

    def offsets(self, place: int) -> dict[float, float]:
        """The :func:`rate_offset` of every variant at the qp of that index, by what makes the variant."""
        curve = self.plain.arms[self.plain_arm]
        rates, qualities = curve.bpp.mean(axis=1), self.axis.quality(curve.points(self.axis))
        offsets = {}
        for name, value in self.values.items():
            arm = self.others.arms[name]
            quality = float(self.axis.quality(arm.points(self.axis))[place])
            offsets[value] = rate_offset(rates, qualities, float(arm.bpp[place].mean()), quality)
        return offsets


def best_sigmas(found: Candidates) -> dict[int, float]:
    """The sigma with the lowest offset to the unblurred curve, by qp; 0 if no sigma saves bits."""
    sigmas: dict[int, float] = {}
    for index, qp in enumerate(found.others.qps):
        offsets = {0.0: 0.0, **found.offsets(index)}
        sigmas[qp] = min(offsets, key=offsets.__getitem__)
    return sigmas


def best_factors(found: Candidates) -> dict[int, float]:
    """The factor with the lowest offset to the curve of full size, by qp; 1 if no factor saves bits.

    A small picture at a high qp may be worse than the curve's end; the best factor of the qp before is kept
    then.

    Otherwise each qp is decided by itself, and factors may grow again, for an arm is only compared there.
    A recipe is used at all qps, so :func:`npp.training.recipe_choice.best_sizes` decides on all together.
    """
    factors: dict[int, float] = {}
    last = 1.0
    for index, qp in enumerate(found.others.qps):
        offsets = {1.0: 0.0, **found.offsets(index)}
        if math.isfinite(offsets[last]):
            last = min(offsets, key=offsets.__getitem__)
        factors[qp] = last
    return factors


def search(
    measurer: Measurer,
    plain: Arm,
    arms: Mapping[float, Arm],
    qps: Sequence[int],
    axis: Axis,
    progress: Progress,
) -> Candidates:
    """Measures variants of an arm on the measurer's photos.

    Args:
        measurer: measurer of the selection photos.
        plain: the plain arm.
        arms: the variants, by the value that makes them.
        qps: qps of the evaluation.
        axis: the quality by which they are compared.
        progress: called with the number of pictures done.
    """
    curve = measurer.measure([plain], curve_qps(qps), progress)
    variants = measurer.measure(list(arms.values()), qps, progress)
    values = {arm.name: value for value, arm in arms.items()}
    return Candidates(curve, plain.name, variants, values, axis)


def best_arm(curves: Mapping[str, tuple[Floats, Floats]]) -> str:
    """The arm with the lowest BD-rate against the first one; arms that cannot be compared are left out."""
    anchor, *compared = curves
    rates = {anchor: 0.0}
    for arm in compared:
        with suppress(ValueError):  # too few points of which the costlier is better, or no common quality
            rates[arm] = bd_rate(*monotone(*curves[anchor]), *monotone(*curves[arm]))
    return min(rates, key=rates.__getitem__)


class Selector:
    """Chooses what a configuration leaves to the selection photos.

    The first seen network judges, by its primary quality.

    Args:
        config: the configuration.
        measurer: measurer of the selection photos.
        stage: called for each stage of the work.
    """

    def __init__(self, config: EvaluateConfig, measurer: Measurer, stage: Stage) -> None:
        self._config, self._measurer, self._stage = config, measurer, stage

    @property
    def _axis(self) -> Axis:
        label = self._config.networks[0].label
        axes = [axis for axis in self._measurer.axes() if axis.network == label and not axis.dataset]
        return next((axis for axis in axes if axis.primary), axes[0])

    def best_codec(self) -> CodecOptions:
        """Codec options of the unfiltered arm that :func:`best_arm` names."""
        plain = [
            Arm(arm.name, arm.codec_options, Unfiltered())
            for arm in self._config.arms
            if arm.kind == "none" and arm.codec_of is None
        ]
        if len(plain) == 1:
            return plain[0].options
        qps, axis = self._config.qps, self._axis
        total = len(plain) * len(qps) * len(self._measurer.pictures)
        measured = self._measurer.measure(plain, qps, self._stage("comparing codec settings", total))
        curves = {
            name: (arm.bpp.mean(axis=1), axis.quality(arm.points(axis)))
            for name, arm in measured.arms.items()
        }
        best = best_arm(curves)
        return next(arm.options for arm in plain if arm.name == best)

    def _search(self, title: str, plain: Arm, arms: Mapping[float, Arm]) -> Candidates:
        config, measurer = self._config, self._measurer
        total = searched_cells(config.qps, len(arms)) * len(measurer.pictures)
        return search(measurer, plain, arms, config.qps, self._axis, self._stage(title, total))

    def best_blur(self, name: str, options: CodecOptions, scale: ScaleRule | None) -> BlurByQp:
        """The blur of an arm with these options of the codec and this size."""
        config = self._config
        plain = Arm("plain", options, Unfiltered(), scale)
        arms = blur_arms(plain, config.blur_sigmas, config.qps)
        return BlurByQp(best_sigmas(self._search(f"choosing sigmas of {name}", plain, arms)))

    def best_scale(self, name: str, options: CodecOptions) -> ScaleRule:
        """The plain size of an arm with these options of the codec."""
        plain = Arm("plain", options, Unfiltered())
        arms = scale_arms(plain, self._config.scale_factors)
        factors = best_factors(self._search(f"choosing sizes of {name}", plain, arms))
        return ScaleRule({float(qp): factor for qp, factor in factors.items()})


def resolve_arms(
    config: EvaluateConfig, parts: Mapping[str, ArmParts], selector: Selector | None
) -> list[Arm]:
    """All arms ready to run.

    Args:
        config: the configuration.
        parts: parts of all arms, by name of the arm.
        selector: needed if something is to be chosen.
    """
    options: dict[str, CodecOptions] = {
        arm.name: {**parts[arm.name].options, **arm.codec_options} for arm in config.arms
    }

    def required_selector() -> Selector:
        assert selector is not None
        return selector

    def codec(arm: ArmConfig) -> CodecOptions:
        source = arm.codec_of or arm.name
        if source == BEST and BEST not in options:
            options[BEST] = required_selector().best_codec()
        return options[source]

    def resolved(arm: ArmConfig) -> Arm:
        codec_options, arm_parts = codec(arm), parts[arm.name]
        scale = (
            required_selector().best_scale(arm.name, codec_options) if arm.scale == BEST else arm_parts.scale
        )
        prefilter = arm_parts.prefilter or required_selector().best_blur(arm.name, codec_options, scale)
        return Arm(arm.name, codec_options, prefilter, scale, arm_parts.qp_map, arm_parts.restorer)

    return [resolved(arm) for arm in config.arms]
