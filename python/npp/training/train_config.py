"""The configuration of a training, as YAML gives it (docs/training.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

import npp.checks as checks
from npp.codec.options import resolve_options
from npp.config.surroundings import folder_of
from npp.config.typed import REST, explain_unknown_keywords, fill, fill_sections, plain
from npp.config.yaml_files import fill_in, read_config
from npp.gradient.in_parts import MOST_PARTS
from npp.photos.finding import find_photos
from npp.photos.photo_set import PhotoSet
from npp.preprocessing.unet import LAMBDAS
from npp.recipes.scale import LEAST_FACTOR
from npp.training.choice_config import ChoiceConfig
from npp.training.parts_config import AllocatorConfig, CodecConfig, PreprocessorConfig, RestorerConfig

#: The largest seed that numpy's generators and Lightning take.
LAST_SEED = 2**32 - 1


Precision = Literal["32-true", "16-mixed", "bf16-mixed", "64-true"]


@dataclass(frozen=True)
class DataConfig(PhotoSet):
    """The photos: those of part ``"train"`` are trained on, those of ``"val"`` validate.

    Attributes:
        more: other folders, all of whose photos are trained on, too, each as often as one of ``folder``; what
            lies in ``folder`` as well is left to that.
        augment: whether a random place is taken and mirrored in training, instead of the centre.
        workers: processes that read, 0 to 256 on each device.
        cache_targets: whether the clean predictions are kept in memory; needs ``augment: false``.
    """

    more: list[str] = field(default_factory=list)
    augment: bool = True
    workers: int = 0
    cache_targets: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        fill_in(self, "more")
        checks.flags(self, "augment", "cache_targets")
        checks.wholes(self, 0, checks.MOST_PROCESSES, "workers")
        if self.part != "train":
            raise ValueError(f"part must be train, not {self.part!r}: the part val validates")
        if self.mode == "full":
            raise ValueError("mode must be crop or resize, not 'full': the pictures of a batch have one size")
        if self.cache_targets and self.augment:
            raise ValueError("cache_targets must be false where augment is true: no picture comes twice")

    def training_paths(self) -> list[Path]:
        """The photos that are trained on: those of ``folder`` first, and each folder's sorted by path.

        Raises:
            ValueError: a folder has none; the message begins with the attribute's name.
        """
        # Sorted, so that what a seed draws does not depend on how the limit is applied.
        found = sorted(self.paths())
        own = {path.resolve() for path in find_photos(self.folder)} if self.more else set()
        for folder in self.more:
            try:
                others = [path for path in sorted(find_photos(folder)) if path.resolve() not in own]
            except ValueError as error:
                raise ValueError(f"more: {str(error).removeprefix('folder: ')}") from None
            if not others:
                raise ValueError(f"more: {folder} has photos of folder ({self.folder}) only")
            found += others
        return found


@explain_unknown_keywords
@dataclass(frozen=True)
class TaskConfig:
    """A task that the decoded picture must still serve.

    Attributes:
        name: as :func:`npp.tasks.build_task` knows it.
        weight: the weight of its loss; only the ratio to the other tasks' counts.
        settings: all other keys go to the task.
    """

    name: str
    weight: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        checks.positive(self, "weight")


@dataclass(frozen=True)
class TradeOffConfig:
    """The qps that are trained, and the weight of the task at each.

    Attributes:
        qps: lowest and highest; every qp between is drawn equally often, and λ is the slope of BPG's own
            curve there times ``slope_factor``.
        slope_factor: see ``qps``. With 1 a network could slide along BPG's own curve and gain nothing.
        pairs: pairs of (qp, λ) instead: ``published``, or a list.
    """

    qps: tuple[int, int] | None = None
    slope_factor: float = 3.0
    pairs: Literal["published"] | list[tuple[int, float]] | None = None

    def __post_init__(self) -> None:
        if self.qps is not None and self.pairs is not None:
            raise ValueError("qps and pairs exclude each other")
        if self.qps is not None:
            object.__setattr__(self, "qps", self._lowest_and_highest(self.qps))
        checks.positive(self, "slope_factor")
        self._check_pairs()
        checks.qps("pairs" if self.pairs else "qps", self.choices)
        for qp, weight in (self.table or {}).items():
            if not 0 < weight < math.inf:
                raise ValueError(f"pairs must have λ above 0 and finite, not {weight} at qp {qp}")

    @staticmethod
    def _lowest_and_highest(qps: tuple[int, ...]) -> tuple[int, ...]:
        if (rising := checks.qps("qps", qps)) != tuple(qps) or len(rising) != 2:
            raise ValueError(f"qps must be the lowest and the highest, not {list(qps)}")
        return rising

    def _check_pairs(self) -> None:
        if self.pairs is None:
            return
        if not self.pairs:
            raise ValueError("pairs must be published or a list of (qp, λ), not empty")
        # The default may stand beside them, as it does in what a run writes of its configuration.
        if self.slope_factor != TradeOffConfig.slope_factor:
            raise ValueError(
                f"slope_factor goes with qps, not with pairs, which give λ; not {self.slope_factor}"
            )
        named = [] if self.pairs == "published" else [pair[0] for pair in self.pairs]
        if twice := [qp for qp in named if named.count(qp) > 1]:
            raise ValueError(f"pairs must have each qp once, not {twice[0]} {len(twice)} times")

    @property
    def table(self) -> dict[int, float] | None:
        """λ by qp where pairs are given, else ``None``."""
        if self.pairs is None:
            return None
        return dict(LAMBDAS if self.pairs == "published" else self.pairs)

    @property
    def choices(self) -> list[int]:
        """The qps that are drawn."""
        low, high = self.qps or (25, 44)
        return sorted(self.table or range(low, high + 1))


@dataclass(frozen=True)
class LossConfig:
    """The other terms of the total.

    Attributes:
        w_pre: weight of the squared error between the preprocessed and the original picture.
        w_hat: weight of the squared error between the decoded, restored and the original picture.
        mse_scale: a factor of both mean squared errors, which are those of pixels in [0, 1]; 65025 makes them
            those of pixels in [0, 255].
        normalise: ``"baseline"`` divides a picture's total by BPG's mean bpp at its qp, so that high qps
            count as much as low ones.
        w_map: weight of the map's mean square, in squared qps, which is added after that, so that offsets
            which gain nothing go back to 0.
    """

    w_pre: float = 0.5
    w_hat: float = 0.0
    mse_scale: float = 1.0
    w_map: float = 0.001
    normalise: Literal["none", "baseline"] = "baseline"

    def __post_init__(self) -> None:
        checks.at_least(self, 0, "w_pre", "w_hat", "mse_scale", "w_map")
        checks.one_of("normalise", self.normalise, ("none", "baseline"))


@dataclass(frozen=True)
class BaselineConfig:
    """BPG's own curve, measured before training.

    Attributes:
        photos: the number of photos of the training part.
        points: the number of qps from the lowest to the highest that is trained, 3 to 52.
    """

    photos: int = 64
    points: int = 8

    def __post_init__(self) -> None:
        checks.whole_at_least(self, 1, "photos")
        checks.wholes(self, 3, checks.QP_COUNT, "points")


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and its schedule.

    Attributes:
        steps: steps of the optimiser; 0 trains nothing.
        batch: pictures of a step on each device, 1 to 65,536.
        learning_rate: the highest learning rate.
        warmup: steps in which the rate rises from 0.
        final: the part of the rate that is left at the end of the cosine.
        weight_decay: decay of matrices and filters, not of single numbers.
        clip: largest norm of the gradient; 0 for no limit.
        ema: the part of the averaged weights that a step keeps, below 1.
    """

    steps: int = 5000
    batch: int = 8
    learning_rate: float = 1e-3
    warmup: int = 100
    final: float = 0.01
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        checks.wholes(self, 1, checks.MOST_PICTURES, "batch")
        checks.whole_at_least(self, 0, "steps", "warmup")
        checks.at_least(self, 0, "final", "weight_decay", "clip", "ema")
        checks.positive(self, "learning_rate")
        if not self.ema < 1:
            raise ValueError(f"ema must be below 1, not {self.ema!r}")


@dataclass(frozen=True)
class ValidationConfig:
    """The validation of the averaged weights, on the real codec.

    Attributes:
        every: steps between two validations.
        photos: the greatest number of photos of the val part.
        qps: at least two qps; kept rising and each once.
        batch: pictures at a time, 1 to 65,536.
        pictures: rows of the picture strip in TensorBoard.
    """

    every: int = 500
    photos: int = 64
    qps: tuple[int, ...] = (28, 31, 34, 37, 40, 44)
    batch: int = 16
    pictures: int = 4

    def __post_init__(self) -> None:
        checks.whole_at_least(self, 1, "every", "photos")
        checks.wholes(self, 1, checks.MOST_PICTURES, "batch")
        checks.whole_at_least(self, 0, "pictures")
        object.__setattr__(self, "qps", checks.qps("qps", self.qps, fewest=2))


@dataclass(frozen=True)
class TrainerConfig:
    """The settings of Lightning's Trainer, and how often things are written.

    Attributes:
        accelerator, devices, nodes, strategy, precision: as Lightning names them.
        deterministic: whether operations that are not deterministic are refused.
        log_every: steps between two rows of scalars.
        checkpoint_every: steps between two writings of ``last.ckpt``.
        parts: in how many parts, 1 to 1,024, a step goes through codec and tasks; several have a GPU work
            while the codec does, for the same result and less memory.
        keep: which averaged weights are the result: ``"best"`` by validation or ``"last"``.
        progress: whether a progress bar is shown.
    """

    accelerator: str = "auto"
    devices: int | str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    precision: Precision = "32-true"
    deterministic: bool = False
    log_every: int = 10
    checkpoint_every: int = 250
    parts: int = 1
    keep: Literal["best", "last"] = "best"
    progress: bool = True

    def __post_init__(self) -> None:
        checks.whole_at_least(self, 1, "nodes", "log_every", "checkpoint_every")
        checks.wholes(self, 1, MOST_PARTS, "parts")
        checks.one_of("precision", self.precision, get_args(Precision))
        checks.flags(self, "deterministic", "progress")
        checks.one_of("keep", self.keep, ("best", "last"))


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run; each section is explained with its class.

    Attributes:
        tasks: what is trained for; may be left out where ``optimiser.steps`` is 0 and nothing is chosen.
        out: folder for weights, checkpoints, TensorBoard logs, the curve of BPG and this configuration.
        seed: seeds everything random.
        preprocessor: the filter; none where it is ``null``.
        allocator: the map; none by default.
        restorer: the restorer behind the decoder; none by default.
        scale: the factor that shrinks both sides of pictures before they are coded, 0.1 to 1.
        trains: ``"recipe"``, which tells this configuration from an allocator's.
        choose: sizes and strengths of the map to choose from after the training; ``None`` keeps those that
            were trained with.
        modules: a folder in which ``python:module:name`` is looked for too.
    """

    data: DataConfig
    tasks: list[TaskConfig] = field(default_factory=list)
    trains: Literal["recipe"] = "recipe"
    out: str = "runs/preprocessor"
    seed: int = 0
    modules: str | None = None
    preprocessor: PreprocessorConfig | None = field(default_factory=PreprocessorConfig)
    allocator: AllocatorConfig | None = None
    restorer: RestorerConfig | None = None
    scale: float = 1.0
    codec: CodecConfig = field(default_factory=CodecConfig)
    trade_off: TradeOffConfig = TradeOffConfig()
    loss: LossConfig = LossConfig()
    baseline: BaselineConfig = BaselineConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    validation: ValidationConfig = ValidationConfig()
    choose: ChoiceConfig | None = None
    trainer: TrainerConfig = TrainerConfig()

    def __post_init__(self) -> None:
        fill_sections(self)
        checks.wholes(self, 0, LAST_SEED, "seed")
        checks.number("scale", self.scale, LEAST_FACTOR, 1)
        self._check_tasks()
        parts = (self.preprocessor, self.allocator, self.restorer)
        if self.optimiser.steps and not any(part is not None and part.train for part in parts):
            raise ValueError(
                "preprocessor, allocator or restorer must be trained, or optimiser.steps be 0: none is"
            )
        if self.trainer.parts > 1 and self.restorer is not None and self.restorer.train:
            raise ValueError(
                f"trainer.parts must be 1 where a restorer is trained, not {self.trainer.parts}: "
                "its gradient would be lost between the parts"
            )
        if (self.optimiser.steps or self.choose) and resolve_options(self.codec.all_options).lossless:
            raise ValueError("codec.lossless must be false in a training, not true: no qp decides then")
        takes_map = getattr(self.codec.build_surrogate(), "takes_qp_map", False)
        if self.allocator is not None and not takes_map:
            raise ValueError(
                f"codec.surrogate must take a map with allocator, as gated; {self.codec.surrogate} does not"
            )

    def _check_tasks(self) -> None:
        """Raises ValueError unless there are tasks where they are needed: a pretraining needs none."""
        needs = {
            "optimiser.steps trains for them": self.optimiser.steps > 0,
            "choose asks them": self.choose is not None,
        }
        for why, needed in needs.items():
            if needed and not self.tasks:
                raise ValueError(f"tasks must name at least one task, for {why}")

    @property
    def labels(self) -> list[str]:
        """A name of its own for each task, without the path before that of a custom task."""
        names = [task.name.rpartition(":")[2] for task in self.tasks]
        taken = {name for name in names if names.count(name) == 1}
        found = []
        for name in names:
            label = name
            if names.count(name) > 1:
                label = next(one for i in count(1) if (one := f"{name}{i}") not in taken)
                taken.add(label)
            found.append(label)
        return found

    def as_mapping(self) -> dict[str, Any]:
        """All keys, defaults included, as YAML takes them."""
        mapping: dict[str, Any] = plain(self)
        return mapping


def load_config(path: Path | str, overrides: Iterable[str] = ()) -> TrainConfig:
    """Reads a configuration from YAML.

    Args:
        path: the file. ``~``, ``${NAME}`` and ``${NAME:-default}`` are filled in; relative paths are
            below the working folder. Its folder is where ``modules`` are, unless it says otherwise.
        overrides: ``key=value`` with dots between sections, as ``optimiser.steps=100``.

    Raises:
        ConfigError: an unknown key or a wrong value; the message names the key, the value and what is
            allowed. It is a ValueError.
        OSError: the file cannot be read.
    """
    return fill(TrainConfig, {"modules": folder_of(path), **read_config(path, overrides)})
