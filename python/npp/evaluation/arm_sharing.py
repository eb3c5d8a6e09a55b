"""Each picture's qp chosen anew from what was measured, so that a set loses least at its total bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from npp.allocation import share_bits
from npp.allocation.qp_curves import LossCurve, least_loss
from npp.allocation.sharing import GROWTH, SAMPLED_BELIEF, SAMPLED_QPS, blended
from npp.checks import QP_COUNT
from npp.evaluation.arms import Sharing
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import ArmMeasurements, Measurements
from npp.pchip import Floats


def shared_name(arm: str, sharing: Sharing) -> str:
    """The name of a row with sharing."""
    return f"{arm} shared by {sharing}"


@dataclass(frozen=True)
class SharedArm:
    """One arm with its bits shared over the pictures.

    Attributes:
        arm: its name.
        sharing: by what.
        qps: (budgets, pictures) that were chosen.
        bits: (budgets,) of all files together.
        budgets: (budgets,) bits of all files of the arm at one qp.
    """

    arm: str
    sharing: Sharing
    qps: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]
    budgets: npt.NDArray[np.int64]


def _losses(arm: ArmMeasurements, qps: Sequence[int], sharing: Sharing, axis: Axis | None) -> Floats:
    """(pictures, qps): what each picture loses at each qp, up to a common factor.

    Raises:
        ValueError: the arm has no map that says how sensitive pictures are.
    """
    growth: Floats = np.exp2(GROWTH * (np.array(qps, np.float64) - qps[0]))[None]
    if sharing == "measured":
        assert axis is not None
        return _believed(arm.scores[axis.network, axis.name], qps, growth)
    if sharing == "rates":
        return np.repeat(growth, arm.sizes.shape[1], axis=0)
    if arm.sensitivity is None:
        raise ValueError("share: sensitivity needs a map of gradients, an allocator or features")
    logarithms = arm.sensitivity[len(qps) // 2]
    losses: Floats = np.exp2(logarithms - logarithms.mean())[:, None] * growth
    return losses


def _believed(measured: Floats, qps: Sequence[int], growth: Floats) -> Floats:
    """What a network lost, (qps, pictures), believed as ``npp encode --share --judge`` believes it.

    That is from as many qps as are sampled there: those next to the same ones, or where these are few, the
    first, the middle and the last.
    """
    sampled = sorted({min(qps, key=lambda qp: abs(qp - target)) for target in SAMPLED_QPS})
    if len(sampled) < len(SAMPLED_QPS):
        sampled = sorted({qps[0], qps[len(qps) // 2], qps[-1]})
    values = measured[[qps.index(qp) for qp in sampled]]
    values = np.maximum(values, least_loss(values.flatten().tolist()))
    curves = [LossCurve(sampled, column) for column in values.T.tolist()]
    losses: Floats = np.array([[curve.at(qp) for qp in qps] for curve in curves])
    return blended(losses, growth, SAMPLED_BELIEF)


def _padded(table: Floats) -> Floats:
    """(pictures, 52); what is added is never looked at."""
    return np.pad(table, ((0, 0), (0, QP_COUNT - table.shape[1])), constant_values=1.0)


def choose_places(bits: Floats, losses: Floats, budgets: Sequence[float]) -> npt.NDArray[np.int64]:
    """(budgets, pictures) indices of the measured file that is taken of each picture.

    Args:
        bits, losses: (pictures, files), by rising qp.
        budgets: the most bits of all pictures together.
    """
    last = bits.shape[1] - 1
    shared = [
        share_bits(_padded(bits), budget, divergence=_padded(losses), qps=(0, last)) for budget in budgets
    ]
    return np.stack([share.qps.numpy() for share in shared])


def _selected(table: Floats, indices: npt.NDArray[np.int64]) -> Floats:
    """(budgets, pictures) of a table (files, pictures)."""
    selected: Floats = np.take_along_axis(table, indices, axis=0)
    return selected


def share_arm(
    measured: Measurements, name: str, sharing: Sharing, budget_qps: Sequence[int], axis: Axis | None
) -> tuple[ArmMeasurements, SharedArm]:
    """An arm whose pictures have qps of their own at the total bits that it takes at one.

    Args:
        measured: the arm at all qps that may be chosen.
        name: the arm's.
        sharing: what is known of the pictures.
        budget_qps: the qps whose total bits are kept.
        axis: a divergence, for ``measured``.

    Raises:
        ValueError: the arm's map does not say how sensitive pictures are, though that is asked for.
    """
    arm, qps = measured.arms[name], measured.qps
    bits = 8.0 * arm.sizes.T
    budgets = [8 * int(arm.sizes[qps.index(qp)].sum()) for qp in budget_qps]
    indices = choose_places(bits, _losses(arm, qps, sharing, axis), budgets)
    sizes = np.take_along_axis(arm.sizes, indices, axis=0)
    measurements = ArmMeasurements(
        sizes,
        _selected(arm.bpp, indices),
        {key: _selected(values, indices) for key, values in arm.scores.items()},
        {},
    )
    picture_qps = np.array(qps, np.int64)[indices]
    return measurements, SharedArm(
        name, sharing, picture_qps, 8 * sizes.sum(axis=1), np.array(budgets, np.int64)
    )


def weighted_by_size(measured: Measurements, names: Sequence[str]) -> Measurements:
    """Arms whose mean bpp is all bits over all pixels, as a set's total is counted.

    Qualities of all pictures together are left out.
    """
    arms = {}
    for name in names:
        arm = measured.arms[name]
        pixels = 8 * arm.sizes[0] / arm.bpp[0]
        arms[name] = replace(arm, bpp=8 * arm.sizes / pixels.mean(), metrics={}, matches={})
    axes = tuple(axis for axis in measured.axes if not axis.dataset)
    return Measurements(measured.qps, measured.pictures, axes, arms)


def joined_qps(one: Measurements, other: Measurements, names: Sequence[str]) -> Measurements:
    """Arms at the qps of both measurements."""
    qps = tuple(sorted({*one.qps, *other.qps}))
    arms = {}
    for name in names:
        sources = [
            (one.arms[name], one.qps.index(qp)) if qp in one.qps else (other.arms[name], other.qps.index(qp))
            for qp in qps
        ]
        first = one.arms[name]
        arms[name] = ArmMeasurements(
            np.stack([arm.sizes[row] for arm, row in sources]),
            np.stack([arm.bpp[row] for arm, row in sources]),
            {key: np.stack([arm.scores[key][row] for arm, row in sources]) for key in first.scores},
            {},
            None
            if first.sensitivity is None
            else np.stack([arm.sensitivity[row] for arm, row in sources if arm.sensitivity is not None]),
        )
    return Measurements(qps, one.pictures, one.axes, arms)
