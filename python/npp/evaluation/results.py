"""Results as files: every arm in CompressAI's shape, and a summary of the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npp.evaluation.analysis import Findings
from npp.evaluation.arms import ArmConfig
from npp.evaluation.bd_rate import BDInterval
from npp.evaluation.config import EvaluateConfig
from npp.evaluation.measurements import PICTURE, Measurements
from npp.evaluation.networks import Axis
from npp.files import write_file
from npp.options import CodecOptions


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    write_file(path, (json.dumps(value, indent=1) + "\n").encode(), force=True)


def _prefilter(arm: ArmConfig, sigmas: Mapping[int, float] | None) -> Any:
    if arm.kind == "none":
        return "none"
    return {arm.kind: arm.value if sigmas is None else {str(qp): sigma for qp, sigma in sigmas.items()}}


def arm_summary(arm: ArmConfig, options: CodecOptions, sigmas: Mapping[int, float] | None) -> dict[str, Any]:
    """An arm with what was chosen for it."""
    return {"name": arm.name, "codec": dict(options), "prefilter": _prefilter(arm, sigmas)}


def describe_arm(arm: ArmConfig, options: CodecOptions, sigmas: Mapping[int, float] | None) -> str:
    """One line about an arm."""
    codec = ", ".join(f"{name} {value}" for name, value in options.items())
    return f"BPG ({codec or 'default options'}), prefilter {_prefilter(arm, sigmas)}"


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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(interval: BDInterval | None, problem: str | None) -> dict[str, Any]:
    if interval is None:
        return {"bd_rate": None, "problem": problem}
    return {
        "bd_rate": interval.value,
        "low": _finite(interval.low),
        "high": _finite(interval.high),
        "comparable": interval.comparable,
    }


def _axis(axis: Axis) -> dict[str, Any]:
    return {"network": axis.network, "quality": axis.name, "primary": axis.primary}


def summary(
    config: EvaluateConfig,
    measured: Measurements,
    findings: Findings,
    machine: Mapping[str, Any],
    arms: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that a reader needs to judge the run, as a JSON value."""
    return {
        "name": config.name,
        "machine": dict(machine),
        "photos": len(measured.pictures),
        "qps": list(measured.qps),
        "anchor": config.anchor,
        "networks": [one.describe() for one in config.networks],
        "arms": arms,
        "comparisons": [
            {
                "arm": one.arm,
                "against": one.against,
                **_axis(one.axis),
                **_interval(one.interval, one.problem),
                "overlap": one.overlap,
            }
            for one in findings.comparisons
        ],
        "differences": [
            {
                "first": one.first,
                "second": one.second,
                **_axis(one.axis),
                **_interval(one.interval, one.problem),
                "excludes_zero": one.interval is not None and one.interval.excludes_zero,
            }
            for one in findings.differences
        ],
        "groups": [
            {
                "group": one.group,
                "arms": list(one.arms),
                **_axis(one.axis),
                "values": list(one.values),
                "mean": one.mean,
                "deviation": one.deviation,
            }
            for one in findings.spreads
        ],
        "config": config.source,
    }
