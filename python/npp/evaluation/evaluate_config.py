"""The configuration of ``npp evaluate``, which is read from YAML (docs/evaluation.md)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import npp.checks as checks
from npp.codec.limits import MOST_THREADS
from npp.config.surroundings import folder_of
from npp.config.typed import fill, fill_sections, plain
from npp.config.yaml_files import read_config
from npp.evaluation.arm_sharing import shared_name
from npp.evaluation.arms import KINDS, ArmConfig
from npp.evaluation.bd_rate_bootstrap import MOST_SAMPLES, check_confidence
from npp.evaluation.judges import JudgeConfig
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.measured_values import PICTURE
from npp.evaluation.prefilters import BEST, BlurConfig, RefineConfig
from npp.preprocessing.blur import MAX_SIGMA
from npp.recipes.scale import LEAST_FACTOR

#: Of the method (arXiv 2206.05650).
DEFAULT_QPS = (25, 28, 29, 31, 34, 37, 40, 44)
DEFAULT_SIGMAS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2)
DEFAULT_FACTORS = (1.0, 0.75, 0.6, 0.5, 0.35)
_FEWEST_QPS = 5

#: The arms that are always compared; a configuration may name others.
DEFAULT_ARMS = (
    ArmConfig("bpg", options={"effort": 8, "tune": "ssim"}),
    ArmConfig("machine", options={"effort": 8, "tune": "machine"}),
    ArmConfig("blur", codec_of=BEST, prefilter=BlurConfig(BEST)),
)


@dataclass(frozen=True)
class Analysis:
    """The comparisons to make.

    Attributes:
        against: one or several arms, besides the anchor, that all others are compared with.
        differences: pairs of arms whose BD-rates against the anchor are subtracted.
        groups: arms that differ by their seed only, by name of the group.
        samples, confidence, seed: settings of the bootstrap; 10 to 1,000,000 samples.
    """

    against: str | tuple[str, ...] = ()
    differences: tuple[tuple[str, str], ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    samples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        checks.wholes(self, 10, MOST_SAMPLES, "samples")
        checks.whole_at_least(self, 0, "seed")
        check_confidence(self.confidence)
        for name, members in self.groups.items():
            if len(members) < 2:
                raise ValueError(f"groups.{name} must be a list of at least two arms, not {list(members)}")

    @property
    def others(self) -> tuple[str, ...]:
        """``against`` as a tuple, empty if it names no arm."""
        return (self.against,) if isinstance(self.against, str) else self.against

    def check(self, names: Sequence[str], anchor: str) -> None:
        """Raises ValueError unless all named arms exist, and the anchor is in no group."""
        for name in self.others:
            _check_arm("analysis.against", name, names)
        for i, pair in enumerate(self.differences):
            for name in pair:
                _check_arm(f"analysis.differences[{i}]", name, names)
        for group, members in self.groups.items():
            for name in members:
                _check_arm(f"analysis.groups.{group}", name, names)
            if anchor in members:
                raise ValueError(f"analysis.groups.{group} must not have the anchor, {anchor}")


@dataclass(frozen=True)
class Strip:
    """The picture strip.

    Attributes:
        arm: the arm that is shown; by default the first with a recipe, a map, a learned filter, refined,
            scaled or blurred.
        qp: one of the measured qps, by default the middle one.
        photos: number of photos.
    """

    arm: str | None = None
    qp: int | None = None
    photos: int = 3

    def __post_init__(self) -> None:
        checks.whole_at_least(self, 1, "photos")


@dataclass(frozen=True)
class EvaluateConfig:
    """All settings of a run; each section is explained with its class.

    Attributes:
        data: the photos that are reported.
        seen: networks that took part in training or choosing something. The first one is used for choosing,
            all are used for refining; without either there may be none.
        unseen: networks that did not.
        selection: photos on which sigmas and options are chosen.
        qps: the measured qps, at least five.
        arms: the arms that are compared.
        anchor: the arm that all others are compared with; by default the first one.
        blur_sigmas: the sigmas to try if a blur is to be chosen.
        scale_factors: the factors to try if a size is to be chosen.
        share_qps: further qps at which arms with ``share`` are measured; one more at each end always is.
        batch: most pictures at a time, 1 to 65,536.
        device: device of networks and filters: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` is a
            GPU if there is one.
        threads: threads of the codec, 1 to 4,096; null for all cores.
        name: name of the run in results.
        out: folder of the results.
        modules: folder that is also searched for the modules of ``python:module:name``.
    """

    data: LabelledPhotos
    seen: tuple[JudgeConfig, ...] = ()
    unseen: tuple[JudgeConfig, ...] = ()
    selection: LabelledPhotos | None = None
    qps: tuple[int, ...] = DEFAULT_QPS
    arms: tuple[ArmConfig, ...] = DEFAULT_ARMS
    anchor: str = ""
    blur_sigmas: tuple[float, ...] = DEFAULT_SIGMAS
    scale_factors: tuple[float, ...] = DEFAULT_FACTORS
    share_qps: tuple[int, ...] = ()
    analysis: Analysis = Analysis()
    strip: Strip = Strip()
    batch: int = 16
    device: str = "auto"
    threads: int | None = None
    name: str = "evaluation"
    out: str = "runs/evaluation"
    modules: str | None = None

    def __post_init__(self) -> None:
        fill_sections(self)
        checks.wholes(self, 1, checks.MOST_PICTURES, "batch")
        if self.threads is not None:
            checks.wholes(self, 1, MOST_THREADS, "threads")
        self._set("qps", checks.qps("qps", self.qps, fewest=_FEWEST_QPS))
        self._set("share_qps", checks.qps("share_qps", self.share_qps, fewest=0))
        if not self.blur_sigmas:
            raise ValueError(f"blur_sigmas must be a list of numbers from 0 to {MAX_SIGMA:g}, not empty")
        for sigma in self.blur_sigmas:
            checks.number("each of blur_sigmas", sigma, 0, MAX_SIGMA)
        self._set("blur_sigmas", tuple(sorted({0.0, *self.blur_sigmas})))
        if not self.scale_factors:
            raise ValueError(f"scale_factors must be a list of numbers from {LEAST_FACTOR:g} to 1, not empty")
        for factor in self.scale_factors:
            checks.number("each of scale_factors", factor, LEAST_FACTOR, 1)
        self._check_arms()
        self._check_networks()
        names = [arm.name for arm in self.arms]
        self._set("anchor", self.anchor or names[0])
        _check_arm("anchor", self.anchor, names)
        self.analysis.check(names, self.anchor)
        shown = min(self.arms, key=lambda arm: KINDS.index(arm.kind)).name
        middle = self.qps[len(self.qps) // 2]
        strip = Strip(
            self.strip.arm or shown, middle if self.strip.qp is None else self.strip.qp, self.strip.photos
        )
        _check_arm("strip.arm", strip.arm, names)
        if strip.qp not in self.qps:
            raise ValueError(f"strip.qp must be one of {', '.join(map(str, self.qps))}, not {strip.qp}")
        self._set("strip", strip)

    def _set(self, name: str, value: Any) -> None:
        """Replaces a field by the value that it stands for."""
        object.__setattr__(self, name, value)

    def _check_arms(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(names) < 2:
            raise ValueError(f"arms must be at least two, not {names}")
        rows = {shared_name(arm.name, sharing) for arm in self.arms for sharing in arm.sharings}
        plain_arms = [arm.name for arm in self.arms if arm.codec_of is None]
        for i, arm in enumerate(self.arms):
            if arm.name in names[:i]:
                raise ValueError(f"arms[{i}].name {arm.name!r} is used twice")
            if arm.name in rows:
                raise ValueError(f"arms[{i}].name {arm.name!r} is that of a row whose bits are shared")
            if arm.codec_of not in (None, BEST, *plain_arms):
                allowed = f"{BEST} or one of {', '.join(plain_arms)}"
                raise ValueError(f"arms[{i}].codec_of must be {allowed}, not {arm.codec_of!r}")
            if isinstance(arm.prefilter, BlurConfig | RefineConfig):
                arm.prefilter.check(f"arms[{i}].prefilter.{arm.prefilter_kind}", self.qps)
        if not any(arm.kind == "none" and arm.codec_of is None for arm in self.arms):
            raise ValueError("arms must have one without scale, prefilter, map and recipe")

    def _check_networks(self) -> None:
        if not self.networks:
            raise ValueError("seen and unseen must have at least one network together")
        self._check_needs()
        self._check_labels()
        for i, arm in enumerate(self.arms):
            for label in () if arm.map is None else arm.map.labels:
                self._check_map(f"arms[{i}].map", label)

    def _check_needs(self) -> None:
        """Raises ValueError unless there is a seen network for each arm that needs one."""
        for i, arm in enumerate(self.arms):
            if not self.seen and arm.needs_seen:
                why = arm.needs_seen
                if self.arms == DEFAULT_ARMS:
                    names = ", ".join(default_arm.name for default_arm in self.arms)
                    why += f"; name arms of your own, without which {names} are compared"
                raise ValueError(f"arms[{i}] ({arm.name}) needs a network among the seen ones: {why}")

    def _check_labels(self) -> None:
        """Raises ValueError unless all networks have different labels in results."""
        labels = [network.label for network in self.networks]
        for label in labels:
            if label == PICTURE:
                raise ValueError(f"networks: the label {label!r} is that of PSNR; give label: to it")
            if labels.count(label) > 1:
                raise ValueError(f"networks: the label {label!r} is used twice; give label: to one")

    def _check_map(self, key: str, label: str) -> None:
        """Raises ValueError unless a map can be made by the network of this label."""
        seen = [network.label for network in self.seen]
        if label not in seen:
            # A network whose gradients or boxes determine the files is a seen one.
            raise ValueError(f"{key} names the network {label!r}; seen has {', '.join(seen)}")
        if self.data.regions and self._task_of(label) == "recognition":
            raise ValueError(f"{key} takes the gradients of whole photos, and {label} reads regions")

    def _task_of(self, label: str) -> str:
        return next(network.name for network in self.networks if network.label == label)

    @property
    def networks(self) -> tuple[JudgeConfig, ...]:
        """All networks, the seen ones first."""
        return (*self.seen, *self.unseen)

    @property
    def chooses(self) -> bool:
        """Whether something is chosen on the selection photos."""
        return any(arm.codec_of == BEST or arm.scale == BEST or arm.finds_blur for arm in self.arms)

    def as_mapping(self) -> dict[str, Any]:
        """All keys, defaults included, as YAML takes them."""
        mapping: dict[str, Any] = plain(self)
        return mapping


def _check_arm(key: str, name: str | None, names: Sequence[str]) -> None:
    if name not in names:
        raise ValueError(
            f"{key} names the arm {name!r}; there are {', '.join(names)}{checks.did_you_mean(name, names)}"
        )


def _with_part(values: Any, default: str) -> Any:
    return {"part": default, **values} if isinstance(values, Mapping) else values


def parse_config(
    values: Mapping[str, Any], *, name: str = "evaluation", limit: int | None = None
) -> EvaluateConfig:
    """Checks a configuration.

    Args:
        values: as :func:`npp.config.yaml_files.read_config` gives it. Keys that ``selection`` lacks
            are taken from ``data``.
        name: name of the run, if the configuration has none.
        limit: the most photos to use, also of the selection photos; overrides that of the configuration.

    Raises:
        ConfigError: the message names the key, the value and what is allowed.
    """
    settings: dict[str, Any] = {"name": name, "out": str(Path("runs") / name), **values}
    data, selection_settings = settings.get("data"), settings.get("selection")
    if isinstance(data, Mapping) and isinstance(selection_settings or {}, Mapping):
        not_shared = ("part", "limit", "annotations", "labels", "masks", "mask_classes", "mask_others")
        shared = {key: value for key, value in data.items() if key not in not_shared}
        settings["selection"] = _with_part({**shared, **(selection_settings or {})}, "val")
    if "data" in settings:
        settings["data"] = _with_part(data, "test")
    config = fill(EvaluateConfig, settings)
    selection = config.selection if config.chooses else None
    if limit is not None:
        config = replace(config, data=replace(config.data, limit=limit))
        selection = None if selection is None else replace(selection, limit=limit)
    return replace(config, selection=selection)


def load_evaluation(
    path: Path | str, overrides: Iterable[str] = (), *, limit: int | None = None
) -> EvaluateConfig:
    """A configuration from YAML.

    Args:
        path: the file; its name is the run's name, and its folder is where ``modules`` are, unless it says
            otherwise.
        overrides: ``key=value`` with dots between sections, as ``data.limit=50``.
        limit: see :func:`parse_config`.

    Raises:
        ConfigError: an unknown key or a wrong value; it is a ValueError.
        OSError: the file cannot be read.
    """
    values = {"modules": folder_of(path), **read_config(path, overrides)}
    # The name is written into results, which must be UTF-8 whatever the name of the file is.
    name = os.fsencode(Path(path).stem).decode("utf-8", "backslashreplace")
    return parse_config(values, name=name, limit=limit)
