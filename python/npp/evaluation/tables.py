"""The comparisons as tables, for the terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from npp.evaluation.analysis import Comparison, Difference, Findings, Spread
from npp.evaluation.bd_rate import BDInterval
from npp.evaluation.config import EvaluateConfig
from npp.evaluation.measurements import PICTURE, Measurements
from npp.evaluation.networks import Axis

if TYPE_CHECKING:
    import rich.table


@dataclass(frozen=True)
class Table:
    """Words in rows and columns; the first column names the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As Markdown, with the title above."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        return "\n".join([f"**{self.title}**", "", *("| " + " | ".join(line) + " |" for line in lines)])

    def rich(self) -> rich.table.Table:
        """For a terminal."""
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, title_justify="left")
        for i, name in enumerate(self.head):
            table.add_column(name, justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*row)
        return table


def _interval(interval: BDInterval | None, problem: str | None = None) -> str:
    if interval is None:
        return f"none: {problem}"
    if math.isnan(interval.low):
        return f"{interval.value:+.1f} %"
    return str(interval)


def _cell(one: Comparison) -> str:
    """A BD-rate with its interval, and the overlap where the curves share less than nine tenths."""
    text = _interval(one.interval, one.problem)
    return text if one.overlap >= 0.9 or one.interval is None else f"{text}, overlap {one.overlap:.2f}"


def _axis_name(axis: Axis) -> str:
    return f"{axis.name} (all pictures)" if axis.dataset else axis.name


def _bd_table(
    config: EvaluateConfig, measured: Measurements, findings: Findings, network: str, role: str, against: str
) -> Table:
    axes = [axis for axis in measured.axes if axis.network == network]
    arms = [arm for arm in measured.arms if arm != against]
    rows = [(arm, *(_cell(findings.find(arm, against, axis)) for axis in axes)) for arm in arms]
    percent = f"{100 * config.analysis.confidence:g} %"
    title = f"BD-rate against {against}, judged by {network} ({role}); {percent} intervals over photos"
    return Table(title, ("arm", *map(_axis_name, axes)), tuple(rows))


def _difference_table(differences: Sequence[Difference]) -> Table:
    rows = [
        (
            f"{one.first} minus {one.second}",
            one.axis.network,
            one.axis.name,
            _interval(one.interval, one.problem).replace(" %", ""),
            "" if one.interval is None else "yes" if one.interval.excludes_zero else "no",
        )
        for one in differences
    ]
    head = ("difference of BD-rates", "judge", "quality", "points", "excludes zero")
    return Table("Differences, paired over photos", head, tuple(rows))


def _spread_table(spreads: Sequence[Spread]) -> Table:
    rows = [
        (
            one.group,
            one.axis.network,
            one.axis.name,
            f"{one.mean:+.1f} % ± {one.deviation:.1f}",
            ", ".join(f"{value:+.1f}" for value in one.values),
        )
        for one in spreads
    ]
    head = ("group", "judge", "quality", "mean ± deviation", "BD-rates")
    return Table("Seeds", head, tuple(rows))


def tables(config: EvaluateConfig, measured: Measurements, findings: Findings) -> list[Table]:
    """All tables of a run."""
    roles = {one.label: "seen" if one.seen else "unseen" for one in config.networks}
    against = dict.fromkeys((config.anchor, *config.analysis.against))
    found = [
        _bd_table(config, measured, findings, network, role, other)
        for other in against
        for network, role in {**roles, PICTURE: "PSNR"}.items()
    ]
    if findings.differences:
        found.append(_difference_table(findings.differences))
    if findings.spreads:
        found.append(_spread_table(findings.spreads))
    return found
