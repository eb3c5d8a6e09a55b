"""Descriptions of arms, as JSON and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npp.config.typed import plain
from npp.evaluation.arms import Arm, ArmConfig
from npp.evaluation.prefilters import BlurByQp, RefineConfig


def _prefilter(arm: ArmConfig, sigmas: Mapping[int, float] | None) -> Any:
    if arm.prefilter_kind == "none":
        return "none"
    if sigmas is not None:
        return {arm.prefilter_kind: {str(qp): sigma for qp, sigma in sigmas.items()}}
    if isinstance(arm.prefilter, RefineConfig):
        return {arm.prefilter_kind: arm.prefilter.refine.given()}
    return plain(arm.prefilter)


def arm_summary(config: ArmConfig, arm: Arm) -> dict[str, Any]:
    """The description of an arm as JSON, with all that was chosen for it."""
    sigmas = arm.prefilter.sigmas if isinstance(arm.prefilter, BlurByQp) else None
    summary = {"name": arm.name, "codec": dict(arm.options), "prefilter": _prefilter(config, sigmas)}
    if arm.scale is not None:
        summary["scale"] = arm.scale.as_mapping()
    for name in ("map", "recipe", "restorer"):
        if getattr(config, name) is not None:
            summary[name] = plain(getattr(config, name))
    return summary


_WORDS = {None: "none", True: "yes", False: "no"}


def value_in_words(value: Any) -> str:
    """A JSON value in words; ``None`` in a mapping is left out."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_key(name)} {_inner(item)}" for name, item in value.items() if item is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_inner, value))
    return _WORDS[value] if value is None or isinstance(value, bool) else str(value)


def _key(name: Any) -> str:
    """A key of a mapping in words; numbers are qps."""
    return f"qp {name}:" if str(name).isdigit() else str(name).replace("_", " ")


def _inner(value: Any) -> str:
    """A value within another, in parentheses if it has parts."""
    words = value_in_words(value)
    return f"({words})" if isinstance(value, (Mapping, list, tuple)) else words


def describe_arm(config: ArmConfig, arm: Arm) -> str:
    """An arm described in one line."""
    summary = arm_summary(config, arm)
    codec = ", ".join(f"{name} {value}" for name, value in arm.options.items())
    names = ("scale", "prefilter", "map", "recipe", "restorer")
    # The filter of a recipe is not named apart from it.
    hidden = {"prefilter"} if "recipe" in summary else set()
    descriptions = [
        f"{name} {_inner(summary[name])}" for name in names if name in summary and name not in hidden
    ]
    return f"BPG ({codec or 'default options'}), {', '.join(descriptions)}"
