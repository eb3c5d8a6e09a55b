"""Tables of a run: comparisons of arms, rates that they need, and the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from npp.evaluation.analysis import Difference, Findings, Spread, rate_at
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.judges import Axis, JudgeConfig
from npp.evaluation.measured_values import PICTURE, ArmMeasurements, Measurements
from npp.evaluation.report_tables import Table
from npp.evaluation.table_cells import comparison_cell, interval_cell


def _axis_name(axis: Axis) -> str:
    return f"{axis.name} (all pictures)" if axis.dataset else axis.name


@dataclass(frozen=True)
class _AgainstOne:
    """Comparisons of all arms with one of them.

    Attributes:
        against: name of that arm.
        arms: names of all arms.
        findings: the comparisons.
        confidence: confidence of the intervals.
    """

    against: str
    arms: Sequence[str]
    findings: Findings
    confidence: float

    def table(self, judge: str, judged_by: str, axes: Sequence[Axis]) -> Table:
        """The table over the qualities of one judge; the title names it."""
        rows = tuple(
            (arm, *(comparison_cell(self.findings.find(arm, self.against, axis)) for axis in axes))
            for arm in self.arms
            if arm != self.against
        )
        percent = f"{100 * self.confidence:g} %"
        title = f"BD-rate against {self.against}, judged by {judged_by}; {percent} intervals over photos"
        return Table(title, ("arm", *map(_axis_name, axes)), rows, judge)


def _bd_tables(
    config: EvaluateConfig, measured: Measurements, findings: Findings, against: str
) -> list[Table]:
    """A table for each judge, and another one for each judge with real labels."""
    compared = _AgainstOne(against, list(measured.arms), findings, config.analysis.confidence)
    tables_of_judges = []
    roles = {**_roles(config.seen, "seen"), **_roles(config.unseen, "unseen"), PICTURE: "PSNR"}
    for judge, role in roles.items():
        axes = [axis for axis in measured.axes if axis.network == judge]
        judged_by = f"{judge} ({role})"
        clean = [axis for axis in axes if not axis.true]
        tables_of_judges.append(compared.table(judge, judged_by, clean))
        if true := [axis for axis in axes if axis.true]:
            tables_of_judges.append(compared.table(judge, f"{judged_by} against real labels", true))
    return tables_of_judges


_KEPT = 0.95  # fraction of the clean value


def needed_bpp(arm: ArmMeasurements, axis: Axis, value: float) -> str:
    """The rate that an arm needs for a value of a quality, in words; ``none`` if it needs no bits."""
    if value <= 0:
        return "none"
    rates = arm.bpp.mean(axis=1)
    if arm.points(axis)[rates.argmin()] >= value:
        return f"at most {rates.min():.3f} bpp"
    rate = rate_at(arm, axis, value)
    return "not reached" if rate is None else f"{rate:.3f} bpp"


def _rate_table(measured: Measurements) -> Table:
    """The rate that each arm needs for nearly the quality of the originals, against real labels."""
    axes = [axis for axis in measured.axes if axis.true and axis.higher_is_better]
    clean = [measured.clean[axis.network, axis.name] for axis in axes]
    rows = [("originals", *(f"{value:.3f}" for value in clean))]
    for name, arm in measured.arms.items():
        rows.append(
            (name, *(needed_bpp(arm, axis, _KEPT * value) for axis, value in zip(axes, clean, strict=True)))
        )
    title = f"Bits per pixel at {100 * _KEPT:g} % of what the networks reach on the originals, real labels"
    return Table(title, ("arm", *(f"{axis.network} {axis.name}" for axis in axes)), tuple(rows))


def _difference_table(differences: Sequence[Difference]) -> Table:
    rows = [
        (
            f"{difference.first} minus {difference.second}",
            difference.axis.network,
            difference.axis.name,
            interval_cell(difference.interval, difference.problem, unit=""),
            "" if difference.interval is None else "yes" if difference.interval.excludes_zero else "no",
        )
        for difference in differences
    ]
    head = ("difference of BD-rates", "judge", "quality", "points", "excludes zero")
    return Table("Differences, paired over photos", head, tuple(rows))


def _spread_table(spreads: Sequence[Spread]) -> Table:
    rows = [
        (
            spread.group,
            spread.axis.network,
            spread.axis.name,
            f"{spread.mean:+.1f} % ± {spread.deviation:.1f}",
            ", ".join(f"{value:+.1f}" for value in spread.values),
        )
        for spread in spreads
    ]
    head = ("group", "judge", "quality", "mean ± deviation", "BD-rates")
    return Table("Seeds", head, tuple(rows))


def _roles(networks: Sequence[JudgeConfig], role: str) -> dict[str, str]:
    return {judge.label: role for judge in networks}


def tables(config: EvaluateConfig, measured: Measurements, findings: Findings) -> list[Table]:
    """All tables of a run except those with sharing."""
    all_tables: list[Table] = []
    for against in dict.fromkeys((config.anchor, *config.analysis.others)):
        all_tables += _bd_tables(config, measured, findings, against)
    if measured.clean:
        all_tables.append(_rate_table(measured))
    if findings.differences:
        all_tables.append(_difference_table(findings.differences))
    if findings.spreads:
        all_tables.append(_spread_table(findings.spreads))
    return all_tables


def shared_tables(config: EvaluateConfig, measured: Measurements, findings: Findings) -> list[Table]:
    """Tables of arms whose bits are shared over all pictures, kept apart from those of single files."""
    return [
        replace(table, title=f"Bits shared over the set: {table.title}", shared=True)
        for table in _bd_tables(config, measured, findings, config.anchor)
    ]
