"""What a run found as JSON and as tables, and the computer that it ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from npp.codec.build import build_config
from npp.config.typed import plain
from npp.evaluation.analysis import Difference, Findings, Spread, rate_at
from npp.evaluation.arm_sharing import SharedArm, shared_name
from npp.evaluation.arms import Arm, ArmConfig
from npp.evaluation.bd_rate import BDInterval
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.json_values import finite
from npp.evaluation.judges import Axis, JudgeConfig
from npp.evaluation.measured_values import PICTURE, ArmMeasurements, Measurements
from npp.evaluation.part_store import versions
from npp.evaluation.prefilters import BlurByQp, RefineConfig
from npp.evaluation.table_cells import comparison_cell, interval_cell

if TYPE_CHECKING:
    import rich.table


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor()
    )


def describe_computer() -> dict[str, Any]:
    """Processor, cores, GPU and versions."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **build_config(),
        **versions(),
    }


def one_line(text: str) -> str:
    """A text with spaces for its line breaks, as a name in a configuration may have some."""
    return " ".join(text.splitlines())


@dataclass(frozen=True)
class Table:
    """Words in rows and columns; the first column names the row.

    Attributes:
        title: what the rows are about.
        head: names of the columns.
        rows: as wide as the head; what compares arms is a ``Cell``, a word that knows its verdict.
        judge: the label of the network whose qualities are compared, ``picture`` for PSNR; empty where the
            table is not of one judge.
        shared: whether it is of arms whose bits are shared over all pictures.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    judge: str = ""
    shared: bool = False

    def markdown(self) -> str:
        """As Markdown, with the title above; no word ends a cell or a line."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        cells = [[one_line(word).replace("|", r"\|") for word in line] for line in lines]
        return "\n".join([f"**{one_line(self.title)}**", "", *(f"| {' | '.join(line)} |" for line in cells)])

    def rich(self) -> rich.table.Table:
        """For a terminal."""
        from rich.markup import escape
        from rich.table import Table as RichTable

        table = RichTable(title=escape(self.title), title_justify="left")
        for i, name in enumerate(self.head):
            table.add_column(escape(name), justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table


def _axis_name(axis: Axis) -> str:
    return f"{axis.name} (all pictures)" if axis.dataset else axis.name


def _bd_table(
    config: EvaluateConfig,
    findings: Findings,
    arms: Sequence[str],
    axes: Sequence[Axis],
    against: str,
    judge: str,
    by: str,
) -> Table:
    """The arms against one, over qualities of one judge."""
    rows = [
        (arm, *(comparison_cell(findings.find(arm, against, axis)) for axis in axes))
        for arm in arms
        if arm != against
    ]
    percent = f"{100 * config.analysis.confidence:g} %"
    title = f"BD-rate against {against}, judged by {by}; {percent} intervals over photos"
    return Table(title, ("arm", *map(_axis_name, axes)), tuple(rows), judge)


def _bd_tables(
    config: EvaluateConfig, measured: Measurements, findings: Findings, against: str
) -> list[Table]:
    """A table for each judge, and for each that has real labels another."""
    found = []
    roles = {**_roles(config.seen, "seen"), **_roles(config.unseen, "unseen"), PICTURE: "PSNR"}
    for network, role in roles.items():
        own = [axis for axis in measured.axes if axis.network == network]
        clean = [axis for axis in own if not axis.true]
        true = [axis for axis in own if axis.true]
        arms = list(measured.arms)
        found.append(_bd_table(config, findings, arms, clean, against, network, f"{network} ({role})"))
        if true:
            by = f"{network} ({role}) against real labels"
            found.append(_bd_table(config, findings, arms, true, against, network, by))
    return found


_KEPT = 0.95  # of the clean value


def _needed(arm: ArmMeasurements, axis: Axis, value: float) -> str:
    """What an arm needs for a value of a quality, in words; ``none`` where the value is that of no bits."""
    if value <= 0:
        return "none"
    rates = arm.bpp.mean(axis=1)
    if arm.points(axis)[rates.argmin()] >= value:
        return f"at most {rates.min():.3f} bpp"
    rate = rate_at(arm, axis, value)
    return "not reached" if rate is None else f"{rate:.3f} bpp"


def _rate_table(measured: Measurements) -> Table:
    """What each arm needs for nearly the quality of the originals, against real labels."""
    axes = [axis for axis in measured.axes if axis.true and axis.higher_is_better]
    clean = [measured.clean[axis.network, axis.name] for axis in axes]
    rows = [("originals", *(f"{value:.3f}" for value in clean))]
    for name, arm in measured.arms.items():
        rows.append(
            (name, *(_needed(arm, axis, _KEPT * value) for axis, value in zip(axes, clean, strict=True)))
        )
    title = f"Bits per pixel at {100 * _KEPT:g} % of what the networks reach on the originals, real labels"
    return Table(title, ("arm", *(f"{axis.network} {axis.name}" for axis in axes)), tuple(rows))


def _difference_table(differences: Sequence[Difference]) -> Table:
    rows = [
        (
            f"{one.first} minus {one.second}",
            one.axis.network,
            one.axis.name,
            interval_cell(one.interval, one.problem, unit=""),
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


def _roles(networks: Sequence[JudgeConfig], role: str) -> dict[str, str]:
    return {one.label: role for one in networks}


def tables(config: EvaluateConfig, measured: Measurements, findings: Findings) -> list[Table]:
    """All tables of a run but those with sharing."""
    found: list[Table] = []
    for other in dict.fromkeys((config.anchor, *config.analysis.others)):
        found += _bd_tables(config, measured, findings, other)
    if measured.clean:
        found.append(_rate_table(measured))
    if findings.differences:
        found.append(_difference_table(findings.differences))
    if findings.spreads:
        found.append(_spread_table(findings.spreads))
    return found


def shared_tables(config: EvaluateConfig, measured: Measurements, findings: Findings) -> list[Table]:
    """Tables of arms whose bits are shared over all pictures: another claim than a single file's."""
    return [
        replace(table, title=f"Bits shared over the set: {table.title}", shared=True)
        for table in _bd_tables(config, measured, findings, config.anchor)
    ]


def _prefilter(arm: ArmConfig, sigmas: Mapping[int, float] | None) -> Any:
    if arm.prefilter_kind == "none":
        return "none"
    if sigmas is not None:
        return {arm.prefilter_kind: {str(qp): sigma for qp, sigma in sigmas.items()}}
    if isinstance(arm.prefilter, RefineConfig):
        return {arm.prefilter_kind: arm.prefilter.refine.given()}
    return plain(arm.prefilter)


def arm_summary(config: ArmConfig, arm: Arm) -> dict[str, Any]:
    """An arm with what was chosen for it."""
    sigmas = arm.prefilter.sigmas if isinstance(arm.prefilter, BlurByQp) else None
    found = {"name": arm.name, "codec": dict(arm.options), "prefilter": _prefilter(config, sigmas)}
    if arm.scale is not None:
        found["scale"] = arm.scale.as_mapping()
    for part in ("map", "recipe", "restorer"):
        if getattr(config, part) is not None:
            found[part] = plain(getattr(config, part))
    return found


_WORDS = {None: "none", True: "yes", False: "no"}


def in_words(value: Any) -> str:
    """A JSON value for people: what is not given in a mapping is left out."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_key(name)} {_inner(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_inner, value))
    return _WORDS[value] if value is None or isinstance(value, bool) else str(value)


def _key(name: Any) -> str:
    """A mapping's key: numbers are qps everywhere here."""
    return f"qp {name}:" if str(name).isdigit() else str(name).replace("_", " ")


def _inner(value: Any) -> str:
    """A value within another."""
    return f"({in_words(value)})" if isinstance(value, (Mapping, list, tuple)) else in_words(value)


def describe_arm(config: ArmConfig, arm: Arm) -> str:
    """One line about an arm."""
    said = arm_summary(config, arm)
    codec = ", ".join(f"{name} {value}" for name, value in arm.options.items())
    names = ("scale", "prefilter", "map", "recipe", "restorer")
    # What a recipe has in front of the codec is not named part by part.
    hidden = {"prefilter"} if "recipe" in said else set()
    parts = [f"{name} {_inner(said[name])}" for name in names if name in said and name not in hidden]
    return f"BPG ({codec or 'default options'}), {', '.join(parts)}"


def shared_summary(shared: SharedArm) -> dict[str, Any]:
    """What was shared, and that the total was kept."""
    return {
        "name": shared_name(shared.arm, shared.sharing),
        "arm": shared.arm,
        "shared_by": shared.sharing,
        "bits": shared.bits.tolist(),
        "budgets": shared.budgets.tolist(),
    }


def arm_results(measured: Measurements, name: str, description: str) -> dict[str, Any]:
    """``{"name", "description", "results"}`` with a list over qps for each quality, as CompressAI writes.

    Names are ``psnr``, and ``network/score`` for the judges.
    """
    arm = measured.arms[name]
    results: dict[str, list[float]] = {
        "q": [float(qp) for qp in measured.qps],
        "bpp": arm.bpp.mean(axis=1).tolist(),
    }
    for axis in measured.axes:
        label = axis.name if axis.network == PICTURE else f"{axis.network}/{axis.name}"
        results[label] = arm.points(axis).tolist()
    return {"name": name, "description": description, "results": results}


def _interval_json(interval: BDInterval | None, problem: str | None) -> dict[str, Any]:
    if interval is None:
        return {"bd_rate": None, "problem": problem}
    return {
        "bd_rate": interval.value,
        "low": finite(interval.low),
        "high": finite(interval.high),
        "comparable": interval.comparable,
    }


def _axis_json(axis: Axis) -> dict[str, Any]:
    found = {"network": axis.network, "quality": axis.name, "primary": axis.primary}
    return {**found, "real_labels": axis.true}


def comparisons_json(findings: Findings) -> list[dict[str, Any]]:
    """All comparisons of arms."""
    return [
        {
            "arm": one.arm,
            "against": one.against,
            **_axis_json(one.axis),
            **_interval_json(one.interval, one.problem),
            "overlap": one.overlap,
        }
        for one in findings.comparisons
    ]


def summary(
    config: EvaluateConfig,
    measured: Measurements,
    findings: Findings,
    computer: Mapping[str, Any],
    arms: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that a reader needs to judge the run, as a JSON value."""
    return {
        "name": config.name,
        "computer": dict(computer),
        "photos": len(measured.pictures),
        "qps": list(measured.qps),
        "anchor": config.anchor,
        "networks": [one.describe(seen=one in config.seen) for one in config.networks],
        "arms": arms,
        "clean": [
            {"network": network, "quality": name, "value": value}
            for (network, name), value in measured.clean.items()
        ],
        "comparisons": comparisons_json(findings),
        "differences": [
            {
                "first": one.first,
                "second": one.second,
                **_axis_json(one.axis),
                **_interval_json(one.interval, one.problem),
                "excludes_zero": one.interval is not None and one.interval.excludes_zero,
            }
            for one in findings.differences
        ],
        "groups": [
            {
                "group": one.group,
                "arms": list(one.arms),
                **_axis_json(one.axis),
                "values": list(one.values),
                "mean": one.mean,
                "deviation": one.deviation,
            }
            for one in findings.spreads
        ],
        "config": config.as_mapping(),
    }
