"""Sharing bits: each picture's qp is chosen from measurements so that the set loses least at its total."""

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
    """The name of an arm whose bits are shared."""
    return f"{arm} shared by {sharing}"


@dataclass(frozen=True)
class SharedArm:
    """One arm with its bits shared over the pictures.

    Attributes:
        arm: name of the arm.
        sharing: what the bits are shared by.
        qps: (budgets, pictures) the chosen qps.
        bits: (budgets,) total bits of the files.
        budgets: (budgets,) total bits of the arm's files at one qp for all.
    """

    arm: str
    sharing: Sharing
    qps: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]
    budgets: npt.NDArray[np.int64]


def _losses(arm: ArmMeasurements, qps: Sequence[int], sharing: Sharing, axis: Axis | None) -> Floats:
    """Loss (pictures, qps) of each picture at each qp, up to a common factor.

    Raises:
        ValueError: the arm has no map that gives the sensitivity of pictures.
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
    """Losses (pictures, qps) as ``npp encode --share --judge`` would estimate them.

    It samples a few qps, so only the measured losses at the nearest qps are used, or those at the first, the
    middle and the last qp if few were measured.
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
    """The table padded to (pictures, 52); the padding is never used."""
    return np.pad(table, ((0, 0), (0, QP_COUNT - table.shape[1])), constant_values=1.0)


def choose_places(bits: Floats, losses: Floats, budgets: Sequence[float]) -> npt.NDArray[np.int64]:
    """Indices (budgets, pictures) of the measured file that is chosen for each picture.

    Args:
        bits, losses: (pictures, files), by rising qp.
        budgets: the most bits of all pictures together, one or more.
    """
    last = bits.shape[1] - 1
    shared = [
        share_bits(_padded(bits), budget, divergence=_padded(losses), qps=(0, last)) for budget in budgets
    ]
    return np.stack([share.qps.numpy() for share in shared])


def _selected(table: Floats, indices: npt.NDArray[np.int64]) -> Floats:
    """The selected entries (budgets, pictures) of a table (files, pictures)."""
    selected: Floats = np.take_along_axis(table, indices, axis=0)
    return selected


def share_arm(
    measured: Measurements, name: str, sharing: Sharing, budget_qps: Sequence[int], axis: Axis | None
) -> tuple[ArmMeasurements, SharedArm]:
    """An arm whose pictures have qps of their own at the total bits that it has at a common qp.

    Args:
        measured: the arm at all qps that may be chosen.
        name: name of the arm.
        sharing: what the bits are shared by.
        budget_qps: the common qps whose total bits are kept.
        axis: the divergence for ``sharing`` by measured losses.

    Raises:
        ValueError: sensitivities are needed, and the arm's map does not give them.
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
    """Arms whose bpp is weighted so that its mean is total bits over total pixels.

    Metrics of all pictures together are left out.
    """
    arms = {}
    for name in names:
        arm = measured.arms[name]
        pixels = 8 * arm.sizes[0] / arm.bpp[0]
        arms[name] = replace(arm, bpp=8 * arm.sizes / pixels.mean(), metrics={}, matches={})
    axes = tuple(axis for axis in measured.axes if not axis.dataset)
    return Measurements(measured.qps, measured.pictures, axes, arms)


def joined_qps(one: Measurements, other: Measurements, names: Sequence[str]) -> Measurements:
    """The arms of these names at the qps of both measurements."""
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
