"""The parts of a trained recipe, as YAML gives them: filter, map, codec and restorer (docs/training.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import npp.checks as checks
from npp.codec.limits import MOST_THREADS
from npp.codec.options import MAX_EFFORT, CodecOptions, resolve_options
from npp.config.typed import REST, explain_unknown_keywords, fill_sections
from npp.gradient.surrogates import DEFAULT_SURROGATE, Gated, Surrogate, resolve_surrogate

# The effort of the recipes that come with npp.
_USUAL_RECIPE_EFFORT = 5


def refuse_settings_beside_start(settings: Mapping[str, Any]) -> None:
    """Raises ValueError if there are settings beside ``start``, whose weights have their own settings."""
    if settings:
        raise ValueError(f"settings {', '.join(settings)} are those of start, and cannot be given")


@dataclass(frozen=True)
class PretrainingConfig:
    """The training of a filter before the codec takes part: to reproduce the picture or to imitate a filter.

    Attributes:
        steps: steps of the optimiser; 0 for none, as for a network that begins as the identity.
        batch: pictures of a step, 1 to 65,536.
        learning_rate: that of AdamW at the start; it falls to 0 with a cosine.
        teacher: a recipe, one that comes with npp or a path, whose filter is imitated; by default the filter
            learns to reproduce the picture.
    """

    steps: int = 0
    batch: int = 8
    learning_rate: float = 1e-3
    teacher: str | None = None

    def __post_init__(self) -> None:
        checks.whole_at_least(self, 0, "steps")
        checks.wholes(self, 1, checks.MOST_PICTURES, "batch")
        checks.positive(self, "learning_rate")
        if self.teacher is not None and not self.steps:
            raise ValueError(
                f"teacher goes with steps of 1 or more, not with 0: {self.teacher!r} teaches nothing; "
                "teacher: null takes it out"
            )


@explain_unknown_keywords
@dataclass(frozen=True)
class PreprocessorConfig:
    """The filter.

    Attributes:
        network: as :class:`npp.Preprocessor` names it.
        start: weights to begin with, a name or a path, or ``recipe:`` and a recipe's; its network and
            settings are taken.
        train: false leaves it as it starts.
        pretraining: a training before the codec takes part, for a network that begins with random weights, as
            the published one, and for a small one that imitates a larger one.
        settings: all other keys go to the network.
    """

    network: str = "gains"
    start: str | None = None
    train: bool = True
    pretraining: PretrainingConfig = PretrainingConfig()
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        fill_sections(self)
        checks.flags(self, "train")
        if self.pretraining.steps and not self.train:
            raise ValueError("pretraining needs train: true")


@explain_unknown_keywords
@dataclass(frozen=True)
class AllocatorConfig:
    """The map of quantiser offsets.

    Attributes:
        start: weights to begin with, a name or a path, as those that were distilled; its settings are taken.
            Without it the network has random weights, and its map begins as zeros.
        train: false leaves it as it starts.
        rate: its learning rate as a part of ``optimiser.learning_rate``.
        strength, limit: of the map, instead of the network's own; see :func:`npp.qp_map`.
        mix: weights of its heads by name, instead of its own.
        settings: all other keys are settings of :class:`npp.Allocator`.
    """

    start: str | None = None
    train: bool = True
    rate: float = 0.1
    strength: float | None = None
    limit: float | None = None
    mix: dict[str, float] | None = None
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        checks.flags(self, "train")
        checks.positive(self, "rate")
        checks.at_least(self, 0, "strength", "limit")


@explain_unknown_keywords
@dataclass(frozen=True)
class RestorerConfig:
    """The restorer behind the decoder.

    Attributes:
        start: weights to begin with: a recipe that has a restorer, one that comes with npp or a path; its
            settings are taken. Without it the network begins as the identity, or, with ``upscale`` 2, as a
            bicubic filter.
        train: false leaves it as it starts.
        rate: its learning rate as a part of ``optimiser.learning_rate``.
        settings: all other keys are settings of :class:`npp.Restorer`.
    """

    start: str | None = None
    train: bool = True
    rate: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        checks.flags(self, "train")
        checks.positive(self, "rate")


@explain_unknown_keywords
@dataclass(frozen=True)
class CodecConfig:
    """The codec in the loop.

    Attributes:
        effort, tune: options of the codec; a training's effort may be low, for it codes pictures often.
        surrogate: the name of the surrogate that gives the gradient.
        floor: least gate of the surrogate ``gated``, 0 to 1. Detail that is gated off entirely would never
            come back in a trained network.
        threads: threads of the codec in each process, 1 to 4,096; null for all cores.
        recipe_effort: the effort of the files that the trained recipe writes, 0 to 9; ``None`` is 5, as in
            the recipes that come with npp, or ``effort`` where that is higher.
        options: all other keys are codec options too.
    """

    effort: int = 0
    tune: Literal["ssim", "machine"] = "ssim"
    surrogate: str = DEFAULT_SURROGATE
    floor: float = 0.35
    threads: int | None = None
    recipe_effort: int | None = None
    options: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        if self.threads is not None:
            checks.wholes(self, 1, MOST_THREADS, "threads")
        # The default may stand beside others, as it does in what a run writes of its configuration.
        if self.surrogate != "gated" and self.floor != CodecConfig.floor:
            raise ValueError(f"floor goes with surrogate gated, not with {self.surrogate}; not {self.floor}")
        self.build_surrogate()
        resolve_options(self.all_options)
        if self.recipe_effort is not None:
            checks.wholes(self, 0, MAX_EFFORT, "recipe_effort")

    @property
    def all_options(self) -> CodecOptions:
        """The codec options of the recipe while it is trained."""
        return cast("CodecOptions", {"effort": self.effort, "tune": self.tune, **self.options})

    @property
    def recipe_options(self) -> CodecOptions:
        """The codec options of the recipe that is kept."""
        usual = max(self.effort, _USUAL_RECIPE_EFFORT)
        effort = usual if self.recipe_effort is None else self.recipe_effort
        return cast("CodecOptions", {**self.all_options, "effort": effort})

    def build_surrogate(self) -> Surrogate:
        """Builds the surrogate."""
        return Gated(floor=self.floor) if self.surrogate == "gated" else resolve_surrogate(self.surrogate)
