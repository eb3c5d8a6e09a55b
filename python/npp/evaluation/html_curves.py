"""Data of the report's charts: rate-quality curves, and the BD-rates of the arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from npp.evaluation.analysis import Findings
from npp.evaluation.json_values import finite
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import PICTURE, Measurements

_LOWER = "lower is better"
_HIGHER = "higher is better"


@dataclass(frozen=True)
class ArmCurve:
    """One arm in a panel.

    Attributes:
        arm: name of the arm.
        bpp: mean bits per pixel, a value for each qp.
        values: the quality at each qp; ``None`` if it is not a number.
    """

    arm: str
    bpp: tuple[float, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Panel:
    """One quality of one judge, with a curve for every arm.

    Attributes:
        key: key of the panel, unique on the page.
        judge: label of the network, or ``picture``.
        name: name of the quality, with its reference if that is not the network's own output.
        better: the direction that is better, in words.
        logarithmic: whether the axis of the quality is logarithmic.
        qps: qps of the points.
        curves: in the order of the arms.
    """

    key: str
    judge: str
    name: str
    better: str
    logarithmic: bool
    qps: tuple[int, ...]
    curves: tuple[ArmCurve, ...]

    @property
    def said(self) -> str:
        """Description of the chart for screen readers."""
        arms = ", ".join(curve.arm for curve in self.curves)
        where = "the decoded picture" if self.judge == PICTURE else self.judge
        return f"{self.name} of {where} over bits per pixel, {self.better}; arms {arms}"


def quality_name(axis: Axis) -> str:
    """Name of a quality, with its reference and the pictures that it is measured over."""
    notes = [
        note
        for applies, note in ((axis.true, "real labels"), (axis.dataset, "all pictures together"))
        if applies
    ]
    return f"{axis.name} ({', '.join(notes)})" if notes else axis.name


def _panel(measured: Measurements, axis: Axis, key: str) -> Panel:
    curves = tuple(
        ArmCurve(name, tuple(arm.bpp.mean(axis=1).tolist()), tuple(map(finite, arm.points(axis).tolist())))
        for name, arm in measured.arms.items()
    )
    return Panel(
        key,
        axis.network,
        quality_name(axis),
        _HIGHER if axis.higher_is_better else _LOWER,
        measured.logarithmic(axis),
        measured.qps,
        curves,
    )


def panels_of(measured: Measurements, prefix: str) -> list[Panel]:
    """A panel for each quality; keys begin with ``prefix``."""
    return [_panel(measured, axis, f"{prefix}-{i}") for i, axis in enumerate(measured.axes)]


def savings_of(findings: Findings, anchor: str, judges: Sequence[str]) -> list[dict[str, Any]]:
    """BD-rates against the anchor over the primary quality of each judge.

    Args:
        findings: the comparisons.
        anchor: the arm that is compared with.
        judges: labels, in the order of the rows.

    Returns:
        ``{"arm", "points"}`` for every other arm, points ``{"judge", "quality", "value", "low", "high"}`` in
        percent. ``low`` and ``high`` are ``None`` if there is no interval; judges whose curves do not
        overlap are left out.
    """
    points_by_arm: dict[str, list[dict[str, Any]]] = {}
    for judge in judges:
        for comparison in findings.comparisons:
            if (
                comparison.against != anchor
                or comparison.axis.network != judge
                or not comparison.axis.primary
            ):
                continue
            points = points_by_arm.setdefault(comparison.arm, [])
            if comparison.interval is not None:
                numbers = {
                    name: finite(getattr(comparison.interval, name)) for name in ("value", "low", "high")
                }
                points.append({"judge": judge, "quality": comparison.axis.name, **numbers})
    return [{"arm": arm, "points": points} for arm, points in points_by_arm.items()]
