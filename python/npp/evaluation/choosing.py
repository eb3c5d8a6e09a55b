"""What is chosen on other photos than those that are reported: sigmas of a blur and options of the codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from npp.codec.options import CodecOptions
from npp.evaluation.arms import BEST, Arm, ArmConfig, BlurByQp, Prefilter, Unfiltered
from npp.evaluation.bd_rate import bd_rate, monotone
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import Measurements
from npp.evaluation.measuring import Measurer, Progress, Stage
from npp.pchip import Floats, pchip

# The unblurred curve goes on for so many qps at both ends, so that blurred points at the ends lie within it.
_MARGIN = 4
_MAX_QP = 51


def curve_qps(qps: Sequence[int]) -> tuple[int, ...]:
    """The qps of the unblurred curve: those of the evaluation and one beyond each end."""
    return tuple(sorted({max(0, min(qps) - _MARGIN), *qps, min(_MAX_QP, max(qps) + _MARGIN)}))


def searched_cells(qps: Sequence[int], sigmas: Sequence[float]) -> int:
    """How many times every photo is measured in a search."""
    return len(curve_qps(qps)) + len(qps) * sum(sigma > 0 for sigma in sigmas)


def blur_arms(options: CodecOptions, sigmas: Sequence[float], qps: Sequence[int]) -> list[Arm]:
    """An arm for every sigma above 0."""
    return [
        Arm(f"sigma {sigma:g}", options, BlurByQp(dict.fromkeys(qps, sigma))) for sigma in sigmas if sigma > 0
    ]


def rate_offset(curve_bpp: Floats, curve_heights: Floats, bpp: float, height: float) -> float:
    """Log10 of a point's rate over the rate that a curve needs for the same quality.

    Returns:
        Below 0 where the point saves bits; infinite where the curve does not reach its quality.
    """
    rates, heights = monotone(curve_bpp, curve_heights)
    if len(rates) < 2 or not heights[0] <= height <= heights[-1]:
        return float("inf")
    return float(np.log10(bpp)) - pchip(heights.tolist(), np.log10(rates).tolist(), height)


def best_sigmas(
    plain: Measurements, blurred: Measurements, plain_arm: str, sigmas: dict[str, float], axis: Axis
) -> dict[int, float]:
    """For every qp the sigma with the lowest offset to the unblurred curve; 0 where none is below it.

    Args:
        plain: the unblurred arm, at more qps.
        blurred: the blurred arms, on the same photos.
        plain_arm: the unblurred arm's name.
        sigmas: of the blurred arms, by name.
        axis: the quality.
    """
    curve_bpp = plain.arms[plain_arm].bpp.mean(axis=1)
    curve_heights = axis.heights(plain.arms[plain_arm].points(axis))
    chosen: dict[int, float] = {}
    for i, qp in enumerate(blurred.qps):
        best, chosen[qp] = 0.0, 0.0
        for name, sigma in sigmas.items():
            arm = blurred.arms[name]
            height = float(axis.heights(arm.points(axis))[i])
            offset = rate_offset(curve_bpp, curve_heights, float(arm.bpp[i].mean()), height)
            if offset < best:
                best, chosen[qp] = offset, sigma
    return chosen


def search_blur(
    measurer: Measurer,
    options: CodecOptions,
    sigmas: Sequence[float],
    qps: Sequence[int],
    axis: Axis,
    progress: Progress,
) -> dict[int, float]:
    """Measures the blurs on the measurer's photos and chooses a sigma for every qp.

    Args:
        measurer: of the selection photos.
        options: of the codec.
        sigmas: to try, in pixels.
        qps: of the evaluation.
        axis: the quality by which they are judged.
        progress: called with the number of pictures done.
    """
    plain = Arm("plain", options, Unfiltered())
    arms = blur_arms(options, sigmas, qps)
    curve = measurer.measure([plain], curve_qps(qps), progress)
    blurred = measurer.measure(arms, qps, progress)
    by_name = dict(zip((arm.name for arm in arms), (one for one in sigmas if one > 0), strict=True))
    return best_sigmas(curve, blurred, plain.name, by_name, axis)


class Selector:
    """Fills in what a configuration leaves to the selection photos.

    They are judged by the first seen network, over its primary quality.

    Args:
        config: the configuration.
        measurer: of the selection photos.
        stage: told about the work.
    """

    def __init__(self, config: EvaluateConfig, measurer: Measurer, stage: Stage) -> None:
        self._config, self._measurer, self._stage = config, measurer, stage

    @property
    def _axis(self) -> Axis:
        label = self._config.networks[0].label
        return next(axis for axis in self._measurer.axes() if axis.network == label and axis.primary)

    def best_codec(self) -> CodecOptions:
        """Options of the unfiltered arm with the lowest BD-rate against the first of them."""
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
            name: monotone(arm.bpp.mean(axis=1), axis.heights(arm.points(axis)))
            for name, arm in measured.arms.items()
        }
        anchor = curves[plain[0].name]
        return min(plain, key=lambda arm: bd_rate(*anchor, *curves[arm.name])).options

    def best_blur(self, name: str, options: CodecOptions) -> BlurByQp:
        """The blur of an arm with these options of the codec."""
        config = self._config
        total = searched_cells(config.qps, config.blur_sigmas) * len(self._measurer.pictures)
        progress = self._stage(f"choosing sigmas of {name}", total)
        return BlurByQp(
            search_blur(self._measurer, options, config.blur_sigmas, config.qps, self._axis, progress)
        )


def resolve_arms(
    config: EvaluateConfig, prefilters: Mapping[str, Prefilter], selector: Selector | None
) -> list[Arm]:
    """All arms ready to run.

    Args:
        config: the configuration.
        prefilters: of all arms but blurs that are to be found, by the arm's name.
        selector: needed where something is to be found.
    """
    options: dict[str, CodecOptions] = {arm.name: arm.codec_options for arm in config.arms}

    def codec(arm: ArmConfig) -> CodecOptions:
        source = arm.codec_of or arm.name
        if source == BEST and BEST not in options:
            assert selector is not None
            options[BEST] = selector.best_codec()
        return options[source]

    def prefilter(arm: ArmConfig) -> Prefilter:
        if arm.name in prefilters:
            return prefilters[arm.name]
        assert selector is not None
        return selector.best_blur(arm.name, codec(arm))

    return [Arm(arm.name, codec(arm), prefilter(arm)) for arm in config.arms]
