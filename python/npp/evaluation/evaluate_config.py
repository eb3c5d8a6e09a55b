"""What ``npp evaluate`` reads: photos, qps, networks, arms and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from npp.checks import is_int
from npp.codec.options import resolve_qp
from npp.config.yaml_files import ConfigError, Section
from npp.evaluation.arms import BEST, ArmConfig, read_arm
from npp.evaluation.judges import JudgeConfig, read_judges
from npp.evaluation.photo_sets import PhotoSet, read_photo_set

#: Of the method (arXiv 2206.05650).
DEFAULT_QPS = (25, 28, 29, 31, 34, 37, 40, 44)
DEFAULT_SIGMAS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2)
_FEWEST_QPS = 5

#: The arms that are always compared; a configuration may name others.
DEFAULT_ARMS: tuple[dict[str, Any], ...] = (
    {"name": "bpg", "effort": 8, "tune": "ssim"},
    {"name": "machine", "effort": 8, "tune": "machine"},
    {"name": "blur", "codec_of": BEST, "prefilter": {"blur": BEST}},
)


@dataclass(frozen=True)
class Analysis:
    """Which comparisons are made.

    Attributes:
        against: arms that, beside the anchor, all others are compared with.
        differences: pairs of arms whose BD-rates against the anchor are subtracted.
        groups: arms that differ by their seed only, by the group's name.
        samples, confidence, seed: of the bootstrap.
    """

    against: tuple[str, ...]
    differences: tuple[tuple[str, str], ...]
    groups: dict[str, tuple[str, ...]]
    samples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Strip:
    """The picture strip: which arm at which qp, and how many photos."""

    arm: str
    qp: int
    photos: int


@dataclass(frozen=True)
class EvaluateConfig:
    """A checked configuration. See docs/evaluation.md for the keys."""

    name: str
    data: PhotoSet
    selection: PhotoSet | None
    qps: tuple[int, ...]
    networks: tuple[JudgeConfig, ...]
    arms: tuple[ArmConfig, ...]
    anchor: str
    blur_sigmas: tuple[float, ...]
    analysis: Analysis
    strip: Strip
    batch: int
    device: str
    threads: int | None
    source: dict[str, Any]


def _qps(values: Any) -> tuple[int, ...]:
    if not isinstance(values, (list, tuple)) or not all(is_int(value) for value in values):
        raise ValueError("a list of whole numbers is needed")
    if len(set(values)) < _FEWEST_QPS:
        raise ValueError(f"at least {_FEWEST_QPS} different qps are needed for a curve")
    return tuple(sorted(set(resolve_qp(values, len(values)))))


def _sigmas(values: Any) -> tuple[float, ...]:
    if not isinstance(values, (list, tuple)) or not values or min(values) < 0:
        raise ValueError("a list of numbers from 0 is needed")
    return tuple(sorted({0.0, *map(float, values)}))


def _known(section: Section, key: str, name: Any, names: Sequence[str]) -> str:
    if name not in names:
        raise section.error(key, f"names the arm {name!r}; there are {', '.join(names)}")
    return str(name)


def _names(section: Section, key: str, value: Any, names: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise section.error(key, f"must be a list of at least two arms, not {value!r}")
    return tuple(_known(section, key, name, names) for name in value)


def _groups(section: Section, names: Sequence[str], anchor: str) -> dict[str, tuple[str, ...]]:
    groups = {name: _names(section, name, value, names) for name, value in section.rest().items()}
    for name, members in groups.items():
        if anchor in members:
            raise section.error(name, f"must not have the anchor, {anchor}")
    return groups


def _analysis(section: Section, names: Sequence[str], anchor: str) -> Analysis:
    against = section.take("against", [])
    against = [against] if isinstance(against, str) else section.sequence("against", [])
    differences = [
        _names(section, f"differences[{i}]", pair, names)
        for i, pair in enumerate(section.sequence("differences", []))
    ]
    for i, pair in enumerate(differences):
        if len(pair) != 2:
            raise section.error(f"differences[{i}]", f"must be two arms, not {list(pair)}")
    analysis = Analysis(
        against=tuple(_known(section, "against", name, names) for name in against),
        differences=tuple((pair[0], pair[1]) for pair in differences),
        groups=_groups(section.section("groups", {}), names, anchor),
        samples=section.integer("samples", 1000, low=10),
        confidence=section.number("confidence", 0.95),
        seed=section.integer("seed", 0),
    )
    if not 0 < analysis.confidence < 1:
        raise section.error("confidence", f"must be between 0 and 1, not {analysis.confidence:g}")
    section.finish()
    return analysis


def _strip(section: Section, arms: Sequence[ArmConfig], qps: tuple[int, ...]) -> Strip:
    order = ("preprocessor", "refine", "blur", "none")
    default = min(arms, key=lambda arm: order.index(arm.kind)).name
    names = [arm.name for arm in arms]
    strip = Strip(
        arm=_known(section, "arm", section.text("arm", default), names),
        qp=section.integer("qp", qps[len(qps) // 2]),
        photos=section.integer("photos", 3, low=1),
    )
    if strip.qp not in qps:
        raise section.error("qp", f"must be one of {', '.join(map(str, qps))}, not {strip.qp}")
    section.finish()
    return strip


def _arms(sections: list[Section], qps: tuple[int, ...]) -> tuple[ArmConfig, ...]:
    arms = [read_arm(section, qps) for section in sections]
    names = [arm.name for arm in arms]
    plain = [arm.name for arm in arms if arm.codec_of is None]
    for i, (section, arm) in enumerate(zip(sections, arms, strict=True)):
        if arm.name in names[:i]:
            raise section.error("name", f"{arm.name!r} is used twice")
        if arm.codec_of not in (None, BEST, *plain):
            raise section.error(
                "codec_of", f"must be {BEST} or one of {', '.join(plain)}, not {arm.codec_of!r}"
            )
    if len(arms) < 2:
        raise ConfigError(f"arms must be at least two, not {names}")
    if not any(arm.kind == "none" and arm.codec_of is None for arm in arms):
        raise ConfigError("arms must have one without prefilter")
    return tuple(arms)


def _networks(top: Section) -> tuple[JudgeConfig, ...]:
    networks = read_judges(top.sections("seen"), seen=True)
    networks += read_judges(top.sections("unseen", []), seen=False)
    labels = [network.label for network in networks]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"networks: the label {label!r} is used twice; give label: to one")
    if not any(network.seen for network in networks):
        raise top.error("seen", "must have at least one network")
    return tuple(networks)


def _selection(top: Section, needed: bool) -> PhotoSet | None:
    """Photos on which sigmas and options are chosen: ``selection:`` over the keys of ``data:``."""
    if not needed:
        top.take("selection", None)
        return None
    data = {key: value for key, value in top.take("data").items() if key not in ("part", "limit")}
    chosen = {**data, **top.section("selection", {}).rest()}
    return read_photo_set(Section(chosen, "selection"), part="val")


def parse_config(
    values: dict[str, Any], *, name: str = "evaluation", limit: int | None = None
) -> EvaluateConfig:
    """Checks a configuration.

    Args:
        values: as :func:`npp.config.yaml_files.read_config` gives it.
        name: of the run, where the configuration has none.
        limit: the most photos to take, over the configuration's; of the selection photos too.

    Raises:
        ConfigError: the message names the key, the value and what is allowed.
    """
    top = Section(values)
    qps = top.convert("qps", _qps, list(DEFAULT_QPS))
    arms = _arms(top.sections("arms", [dict(arm) for arm in DEFAULT_ARMS]), qps)
    names = [arm.name for arm in arms]
    needed = any(arm.codec_of == BEST or (arm.kind == "blur" and arm.value == BEST) for arm in arms)
    data = read_photo_set(top.section("data"), part="test")
    selection = _selection(top, needed)
    if limit is not None:
        data = replace(data, limit=limit)
        selection = None if selection is None else replace(selection, limit=limit)
    anchor = _known(top, "anchor", top.text("anchor", names[0]), names)
    config = EvaluateConfig(
        name=top.text("name", name),
        data=data,
        selection=selection,
        qps=qps,
        networks=_networks(top),
        arms=arms,
        anchor=anchor,
        blur_sigmas=top.convert("blur_sigmas", _sigmas, list(DEFAULT_SIGMAS)),
        analysis=_analysis(top.section("analysis", {}), names, anchor),
        strip=_strip(top.section("strip", {}), arms, qps),
        batch=top.integer("batch", 16, low=1),
        device=top.text("device", "cpu"),
        threads=top.integer("threads", low=1) if top.take("threads", None) is not None else None,
        source=values,
    )
    top.take("out", None)
    top.finish()
    return config
