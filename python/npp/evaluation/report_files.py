"""Results of a run as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npp.evaluation.analysis import Findings
from npp.evaluation.arm_sharing import SharedArm, shared_name
from npp.evaluation.bd_rate_bootstrap import BDInterval
from npp.evaluation.evaluate_config import EvaluateConfig
from npp.evaluation.json_values import finite
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import PICTURE, Measurements


def shared_summary(shared: SharedArm) -> dict[str, Any]:
    """The shared bits of the arms, with the totals that they keep to."""
    return {
        "name": shared_name(shared.arm, shared.sharing),
        "arm": shared.arm,
        "shared_by": shared.sharing,
        "bits": shared.bits.tolist(),
        "budgets": shared.budgets.tolist(),
    }


def arm_results(measured: Measurements, name: str, description: str) -> dict[str, Any]:
    """``{"name", "description", "results"}`` with a list over qps for each quality, as CompressAI writes it.

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
    quality = {"network": axis.network, "quality": axis.name, "primary": axis.primary}
    return {**quality, "real_labels": axis.true}


def comparisons_json(findings: Findings) -> list[dict[str, Any]]:
    """All comparisons of arms."""
    return [
        {
            "arm": comparison.arm,
            "against": comparison.against,
            **_axis_json(comparison.axis),
            **_interval_json(comparison.interval, comparison.problem),
            "overlap": comparison.overlap,
        }
        for comparison in findings.comparisons
    ]


def summary(
    config: EvaluateConfig,
    measured: Measurements,
    findings: Findings,
    computer: Mapping[str, Any],
    arms: list[dict[str, Any]],
) -> dict[str, Any]:
    """The summary of a run as a JSON value, with all that is needed to judge it."""
    return {
        "name": config.name,
        "computer": dict(computer),
        "photos": len(measured.pictures),
        "qps": list(measured.qps),
        "anchor": config.anchor,
        "networks": [judge.describe(seen=judge in config.seen) for judge in config.networks],
        "arms": arms,
        "clean": [
            {"network": network, "quality": name, "value": value}
            for (network, name), value in measured.clean.items()
        ],
        "comparisons": comparisons_json(findings),
        "differences": [
            {
                "first": difference.first,
                "second": difference.second,
                **_axis_json(difference.axis),
                **_interval_json(difference.interval, difference.problem),
                "excludes_zero": difference.interval is not None and difference.interval.excludes_zero,
            }
            for difference in findings.differences
        ],
        "groups": [
            {
                "group": spread.group,
                "arms": list(spread.arms),
                **_axis_json(spread.axis),
                "values": list(spread.values),
                "mean": spread.mean,
                "deviation": spread.deviation,
            }
            for spread in findings.spreads
        ],
        "config": config.as_mapping(),
    }
