"""Sources of an arm's quantiser offsets: gradients of judges, an allocator, features, regions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

import npp.checks as checks
from npp.allocation import Allocator, FeatureAllocator, box_importance, importance, qp_map
from npp.allocation.allocator import adjusted
from npp.allocation.block_importance import MOST_DRAWS
from npp.allocation.regions import MOST_WEIGHT
from npp.allocation.sharing import PREDICTED_POWER
from npp.codec.options import CodecOptions
from npp.config.digests import hash_files, hash_state
from npp.config.kept_values import hash_values
from npp.evaluation.judges import Judge
from npp.tasks import Task
from npp.tasks.detection import Detection

_SEED = 0  # of random projections, so that measuring a batch again gives the same map
_QUICK = 1  # effort for pictures that are coded for gradients alone


@dataclass(frozen=True)
class Scene:
    """What is known at the encoder.

    Attributes:
        x: (N, 3, h, w) in [0, 1], the pictures that will be coded.
        qp: qp of the files.
        options: codec options.
        size: height and width of the original pictures.
        targets: returns the outputs of the network of a label for the originals.
        threads: threads of the codec.
    """

    x: Tensor
    qp: int
    options: CodecOptions
    size: tuple[int, int]
    targets: Callable[[str], list[Any]]
    threads: int | None


class BlockOffsets(NamedTuple):
    """Offsets of blocks, and the sensitivity of the pictures.

    Attributes:
        qp_map: (N, ceil(h/16), ceil(w/16)) offsets.
        sensitivity: (N,) log2 of the loss of each picture relative to others, or ``None`` if unknown.
    """

    qp_map: Tensor
    sensitivity: Tensor | None


class MapSource(ABC):
    """A source of the quantiser's offsets for pictures that are about to be coded."""

    @abstractmethod
    def identity(self) -> Any:
        """A JSON value of all that determines the map."""

    @abstractmethod
    def __call__(self, scene: Scene) -> BlockOffsets:
        """The offsets."""


@dataclass(frozen=True)
class MapShape:
    """How importance becomes offsets, see :func:`npp.qp_map`.

    Attributes:
        strength: strength of the map, at least 0.
        limit: largest offset in qps, 0 to 51.
        sigma: smoothing in blocks, 0 to 16.

    Raises:
        ValueError: a value is out of its range.
    """

    strength: float
    limit: float
    sigma: float

    def __post_init__(self) -> None:
        checks.number("strength", self.strength, 0, math.inf)
        checks.number("limit", self.limit, 0, checks.MAX_QP)
        checks.number("sigma", self.sigma, 0, 16)

    def offsets(self, importance_of_blocks: Tensor) -> Tensor:
        """Offsets (N, h, w) from the importance of blocks."""
        return qp_map(importance_of_blocks, self.strength, self.limit, sigma=self.sigma)


class GradientMap(MapSource):
    """A map from the gradients of some judges' tasks, whose networks run at the encoder.

    Args:
        judges: the judges whose gradients are used.
        draws: see :func:`npp.importance`.
        shape: shape of the map.
    """

    def __init__(self, judges: list[Judge], draws: int, shape: MapShape) -> None:
        self._judges, self._draws, self._shape = judges, draws, shape

    def identity(self) -> Any:
        """The networks and the settings."""
        keys = [judge.key for judge in self._judges]
        return {"gradients": keys, "draws": self._draws, **vars(self._shape)}

    def __call__(self, scene: Scene) -> BlockOffsets:
        """Offsets from gradients on quickly coded pictures."""
        options: CodecOptions = {**scene.options, "effort": _QUICK}
        tasks: list[Task] = [judge.task for judge in self._judges]
        importances = importance(
            scene.x,
            tasks,
            scene.qp,
            draws=self._draws,
            generator=torch.Generator(scene.x.device).manual_seed(_SEED),
            threads=scene.threads,
            **options,
        )
        # The square root, for the importance measured on a single picture is extreme by chance.
        return BlockOffsets(self._shape.offsets(importances), torch.log2(importances.sum((1, 2))) / 2)


class AllocatorMap(MapSource):
    """A map from an :class:`npp.Allocator`.

    Args:
        allocator: the allocator with its settings.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator.eval()
        settings = sorted(allocator.settings.as_mapping().items())
        self._digest = hash_state(allocator, f"{settings}")

    def identity(self) -> Any:
        """A hash of settings and weights."""
        return {"allocator": self._digest}

    @torch.no_grad()
    def __call__(self, scene: Scene) -> BlockOffsets:
        """The network's offsets."""
        offsets = self._allocator(scene.x, scene.qp)
        return BlockOffsets(offsets, PREDICTED_POWER * self._allocator.sensitivity(scene.x, scene.qp))


class FeatureMap(MapSource):
    """A map from an :class:`npp.allocation.FeatureAllocator`, a head on a network that the encoder runs.

    Args:
        allocator: the allocator with its backbone.
    """

    def __init__(self, allocator: FeatureAllocator) -> None:
        self._allocator = allocator.eval()
        features: Any = allocator.features
        shown = [getattr(features, name, None) for name in ("model", "layers", "longest")]
        kind = [shown, hash_files(shown[:1]), allocator.strength, allocator.limit]
        if (values := hash_values(shown[:1], allocator)) is not None:
            kind.append(values)
        self._digest = hash_state(allocator, f"{kind}")

    def identity(self) -> Any:
        """A hash of settings, weights and files, including those of the backbone."""
        return {"features": self._digest}

    @torch.no_grad()
    def __call__(self, scene: Scene) -> BlockOffsets:
        """The head's offsets."""
        return BlockOffsets(self._allocator(scene.x), PREDICTED_POWER * self._allocator.sensitivity(scene.x))


class RegionMap(MapSource):
    """More bits inside the boxes that a detector finds on the original.

    Args:
        judge: a judge with a detection task.
        weight, margin: see :func:`npp.allocation.box_importance`; the margin is in pixels of the original.
        shape: shape of the map.
    """

    def __init__(self, judge: Judge, weight: float, margin: float, shape: MapShape) -> None:
        self._judge, self._weight, self._margin, self._shape = judge, weight, margin, shape

    def identity(self) -> Any:
        """The network and the settings."""
        settings = {"weight": self._weight, "margin": self._margin, **vars(self._shape)}
        return {"regions": self._judge.key, **settings}

    def __call__(self, scene: Scene) -> BlockOffsets:
        """Offsets from boxes."""
        height, width = scene.x.shape[-2:]
        ratio = torch.tensor([width / scene.size[1], height / scene.size[0]] * 2)
        maps = [
            box_importance(
                (height, width),
                target["boxes"].cpu() * ratio,
                self._weight,
                margin=self._margin * float(ratio.mean()),
            )
            for target in scene.targets(self._judge.label)
        ]
        return BlockOffsets(self._shape.offsets(torch.stack(maps)), None)


@dataclass(frozen=True)
class _Shaped:
    """Strength (0 to 16) and limit (0 to 51 qps) that replace those of a network if they are given."""

    strength: float | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.strength is not None:
            checks.number("strength", self.strength, 0, 16)
        if self.limit is not None:
            checks.number("limit", self.limit, 0, checks.MAX_QP)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the judges that are needed: none."""
        return ()


def _shape_of(config: GradientMapConfig | RegionMapConfig) -> MapShape:
    return MapShape(config.strength, config.limit, config.sigma)


@dataclass(frozen=True)
class GradientMapConfig:
    """``{gradients: LABEL}`` or several labels: the map of these judges' gradients."""

    gradients: str | tuple[str, ...]
    draws: int = 1
    strength: float = 0.5
    limit: float = 6.0
    sigma: float = 0.7

    def __post_init__(self) -> None:
        checks.wholes(self, 1, MOST_DRAWS, "draws")
        _shape_of(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the judges that are needed."""
        return (self.gradients,) if isinstance(self.gradients, str) else self.gradients

    def build(self, judges: Mapping[str, Judge], device: torch.device) -> MapSource:
        """The map."""
        selected = [judges[label] for label in self.labels]
        return GradientMap(selected, self.draws, _shape_of(self))


@dataclass(frozen=True)
class AllocatorMapConfig(_Shaped):
    """``{allocator: NAME_OR_PATH}``, as :meth:`npp.Allocator.load` takes it.

    Attributes:
        allocator: the network.
        mix: weights of its heads by name, 0 or more, in place of its own; the map follows the weighted mean
            of their logarithms of importance.
        strength: strength in place of its own, 0 to 16: a block of twice the picture's mean importance has a
            qp that is lower by 3 times the strength.
        limit: largest offset in qps in place of its own, 0 to 51.
    """

    allocator: str = field(kw_only=True)
    mix: dict[str, float] | None = None

    def build(self, judges: Mapping[str, Judge], device: torch.device) -> MapSource:
        """The map."""
        allocator = Allocator.load(self.allocator, device)
        return AllocatorMap(adjusted(allocator, self.strength, self.limit, self.mix))


@dataclass(frozen=True)
class FeatureMapConfig(_Shaped):
    """``{features: NAME_OR_PATH}``, as :meth:`npp.allocation.FeatureAllocator.load` takes it.

    Attributes:
        features: name or path of the head.
        model: its network, if the head's file names a function.
    """

    features: str = field(kw_only=True)
    model: str | None = field(default=None, kw_only=True)

    def build(self, judges: Mapping[str, Judge], device: torch.device) -> MapSource:
        """The map."""
        allocator = FeatureAllocator.load(self.features, model=self.model).to(device)
        allocator.strength = allocator.strength if self.strength is None else self.strength
        allocator.limit = allocator.limit if self.limit is None else self.limit
        return FeatureMap(allocator)


@dataclass(frozen=True)
class RegionMapConfig:
    """``{regions: LABEL}``: the boxes that this judge, a detector, finds on the original."""

    regions: str
    weight: float = 16.0
    margin: float = 0.0
    strength: float = 0.5
    limit: float = 6.0
    sigma: float = 0.7

    def __post_init__(self) -> None:
        checks.number("weight", self.weight, 0, MOST_WEIGHT)
        checks.number("margin", self.margin, 0, 4096)
        _shape_of(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of the judge that is needed."""
        return (self.regions,)

    def build(self, judges: Mapping[str, Judge], device: torch.device) -> MapSource:
        """The map.

        Raises:
            ValueError: the judge is no detector.
        """
        judge = judges[self.regions]
        if not isinstance(judge.task, Detection):
            raise ValueError(f"map.regions must name a judge of the task detection, not {self.regions}")
        return RegionMap(judge, self.weight, self.margin, _shape_of(self))


MapConfig = GradientMapConfig | AllocatorMapConfig | FeatureMapConfig | RegionMapConfig
