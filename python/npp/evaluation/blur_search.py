"""The best trivial prefilter: for every qp the Gaussian blur that moves the curve furthest to the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npp.evaluation.arms import Arm
from npp.evaluation.bd_rate import monotone
from npp.evaluation.measurements import Measurements
from npp.evaluation.measuring import Measurer
from npp.evaluation.networks import Axis
from npp.evaluation.pchip import Floats, pchip
from npp.evaluation.prefilters import Blur, Unfiltered
from npp.evaluation.progress import Progress
from npp.options import CodecOptions

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
        Arm(f"sigma {sigma:g}", options, Blur(dict.fromkeys(qps, sigma))) for sigma in sigmas if sigma > 0
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
