"""What the report's charts show: rate-quality curves, and what each arm saves, as values for the page."""

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
        arm: its name.
        bpp: mean bits per pixel, a value for each qp.
        values: the quality there; ``None`` where it is no number.
    """

    arm: str
    bpp: tuple[float, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Panel:
    """One quality of one judge, with a curve for every arm.

    Attributes:
        key: unlike that of any other panel of the page.
        judge: the network's label, or ``picture``.
        name: of the quality, with what it is measured against where that is not the network's own output.
        better: which way is up.
        logarithmic: whether the quality stands on a logarithmic axis.
        qps: of the points.
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
        """What the chart shows, for those who do not see it."""
        arms = ", ".join(curve.arm for curve in self.curves)
        where = "the decoded picture" if self.judge == PICTURE else self.judge
        return f"{self.name} of {where} over bits per pixel, {self.better}; arms {arms}"


def quality_name(axis: Axis) -> str:
    """A quality with what it is measured against and over."""
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
    """A panel for each quality; keys begin with the prefix."""
    return [_panel(measured, axis, f"{prefix}-{i}") for i, axis in enumerate(measured.axes)]


def savings_of(findings: Findings, anchor: str, judges: Sequence[str]) -> list[dict[str, Any]]:
    """BD-rates against the anchor over the quality that each judge is quoted on.

    Args:
        findings: the comparisons.
        anchor: the arm that is compared with.
        judges: labels, in the order of the rows.

    Returns:
        ``{"arm", "points"}`` for every other arm, points ``{"judge", "quality", "value", "low", "high"}`` in
        percent. ``low`` and ``high`` are ``None`` where there is no interval; judges whose curves do not
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
