"""The configuration of an allocator's training, as YAML gives it (docs/allocation.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import npp.checks as checks
from npp.config.typed import REST, explain_unknown_keywords, fill_sections, label_of, plain
from npp.config.yaml_files import fill_in
from npp.photos.finding import Part
from npp.photos.photo_set import PhotoSet
from npp.training.allocator_labels import LabelSettings
from npp.training.parts_config import refuse_settings_beside_start
from npp.training.train_config import LAST_SEED, OptimiserConfig


@dataclass(frozen=True)
class DistilOptimiserConfig(OptimiserConfig):
    """AdamW and its schedule, with defaults that suit an allocator."""

    steps: int = 3000
    learning_rate: float = 1.5e-3
    warmup: int = 50
    weight_decay: float = 0.05
    clip: float = 2.0
    ema: float = 0.995


@dataclass(frozen=True)
class DistilSettings:
    """The settings by which an allocator is trained on labels.

    Attributes:
        optimiser: AdamW and its schedule; ``batch`` counts crops, to which a step adds ``wholes``.
        trunk_rate: learning rate of the trunk as a part of the body's, 0 to 1.
        kept: inverted bottlenecks at the trunk's start that stay as they are, 0 to 8. Their features are
            computed once for each picture and its mirror image and kept in memory, 60 kB for one of 224x224
            with the default.
        wholes: the number of pictures of other sizes than the crops' in a step, 0 to 64.
        dropout: the part of the trunk's channels that is left out, 0 to below 1.
        checkpoint_every: the number of steps between two checkpoints.
        seed: seeds the order of the pictures.
    """

    optimiser: DistilOptimiserConfig = DistilOptimiserConfig()
    trunk_rate: float = 0.2
    kept: int = 5
    wholes: int = 2
    dropout: float = 0.1
    checkpoint_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        fill_sections(self)
        checks.number("trunk_rate", self.trunk_rate, 0, 1)
        checks.wholes(self, 0, 8, "kept")
        checks.wholes(self, 0, 64, "wholes")
        checks.number("dropout", self.dropout, 0, 0.99)
        checks.wholes(self, 1, 10**6, "checkpoint_every")
        checks.whole_at_least(self, 0, "seed")


@dataclass(frozen=True)
class PhotoSource:
    """Photos that pictures are drawn from, and the tasks that label them.

    Attributes:
        folder, include, fractions, split_seed, limit: see :class:`npp.photos.photo_set.PhotoSet`. Pictures
            are drawn from the part ``train``; those of ``val`` tell how well blocks are ranked.
        share: the weight of these photos among all sources when pictures are drawn.
        tasks: the labels of the tasks that see them; ``None`` for all.
        regions: a CSV file with the columns ``file``, ``x``, ``y``, ``width`` and ``height``, in pixels: what
            the tasks look at is that part of a photo alone, as a number plate that is to be read. Photos that
            it does not list are left out.
    """

    folder: str
    include: str | list[str] | None = None
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    split_seed: int = 0
    limit: int | None = None
    share: float = 1.0
    tasks: list[str] | None = None
    regions: str | None = None

    def __post_init__(self) -> None:
        fill_in(self, "folder", "regions")
        checks.positive(self, "share")
        self.part("train")  # which checks what the two have in common
        if self.tasks == []:
            raise ValueError("tasks must name one at least, or be null for all")

    def part(self, part: Part) -> PhotoSet:
        """One part of the photos."""
        return PhotoSet(
            self.folder,
            self.include,
            part=part,
            fractions=self.fractions,
            split_seed=self.split_seed,
            limit=self.limit,
        )


@explain_unknown_keywords
@dataclass(frozen=True)
class LabelTaskConfig:
    """A task whose network tells which blocks of a picture it needs.

    Attributes:
        name: as :func:`npp.tasks.build_task` knows it.
        label: name of the allocator's head; by default the ``model``, or the task's name.
        optional: whether it is left out, with a warning, where a package that it needs is not installed.
        settings: all other keys go to the task.
    """

    name: str
    label: str = ""
    optional: bool = False
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        checks.flags(self, "optional")
        if not self.label:
            object.__setattr__(self, "label", label_of(self.settings, self.name))


@dataclass(frozen=True)
class AllocatorStartConfig:
    """The network that learns, and its weights at the start.

    Attributes:
        start: an allocator to begin with, a name or a path; its settings are taken, and heads of tasks that
            it does not know start at 0.
        trunk: the network whose first layers give the trunk its weights; ``None`` for random weights.
        settings: all other keys are settings of :class:`npp.Allocator` but ``heads``, which are the tasks.
    """

    start: str | None = None
    trunk: Literal["efficientnet-lite0"] | None = "efficientnet-lite0"
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        if "heads" in self.settings:
            raise ValueError("heads are the labels of tasks, and cannot be given")
        if self.start is not None:
            refuse_settings_beside_start(self.settings)


@dataclass(frozen=True)
class DistillationConfig:
    """All settings of a run; each section is explained with its class.

    Attributes:
        trains: ``"allocator"``, which tells this configuration from a recipe's.
        out: folder for labels, checkpoints, weights and this configuration.
        seed: added to the seeds of ``labels`` and ``training``.
        modules: a folder in which ``python:module:name`` is looked for too.
    """

    trains: Literal["allocator"]
    photos: list[PhotoSource]
    tasks: list[LabelTaskConfig]
    out: str = "runs/allocator"
    seed: int = 0
    modules: str | None = None
    allocator: AllocatorStartConfig = field(default_factory=AllocatorStartConfig)
    labels: LabelSettings = field(default_factory=LabelSettings)
    training: DistilSettings = field(default_factory=DistilSettings)

    def __post_init__(self) -> None:
        fill_sections(self)
        checks.wholes(self, 0, LAST_SEED, "seed")
        if not self.photos or not self.tasks:
            raise ValueError(f"{'tasks' if self.photos else 'photos'} must not be empty")
        labels = [task.label for task in self.tasks]
        for i, label in enumerate(labels):
            if label in labels[:i]:
                raise ValueError(f"tasks[{i}].label must be another than those before, not {label!r}")
        for i, source in enumerate(self.photos):
            for label in source.tasks or ():
                if label not in labels:
                    raise ValueError(f"photos[{i}].tasks must be of {', '.join(labels)}, not {label!r}")
        used = {label for source in self.photos for label in source.tasks or labels}
        for i, label in enumerate(labels):
            if label not in used:
                raise ValueError(f"tasks[{i}]: no photos are for {label!r}; name it in the tasks of some")

    def as_mapping(self) -> dict[str, Any]:
        """All keys, defaults included, as YAML takes them."""
        mapping: dict[str, Any] = plain(self)
        return mapping
