"""Arms, the ways of coding that an evaluation compares: as a configuration has them, and ready to run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast

import torch

import npp.checks as checks
from npp.codec.options import CodecOptions, resolve_options
from npp.config.digests import hash_state
from npp.config.typed import REST, explain_unknown_keywords, fill_sections
from npp.config.yaml_files import ConfigError
from npp.evaluation.block_maps import AllocatorMap, MapConfig, MapSource
from npp.evaluation.judges import Judge
from npp.evaluation.prefilters import (
    BEST,
    BlurConfig,
    Learned,
    Prefilter,
    PrefilterConfig,
    Refine,
    Unfiltered,
    build_prefilter,
)
from npp.recipes import Recipe, ScaleRule
from npp.recipes.part_loading import restorer_of
from npp.recipes.scale import LEAST_FACTOR, factor_from
from npp.restoration import Restorer

# Names of arms become names of files and arrays.
_NAME = re.compile(r"[\w.+-]+( [\w.+-]+)*")

Sharing = Literal["rates", "sensitivity", "measured"]
ScaleConfig = Literal["best"] | float | dict[float, float]

#: Kinds of arms, the most interesting first.
KINDS = ("recipe", "map", "preprocessor", "python", "restorer", "refine", "scale", "blur", "none")


@explain_unknown_keywords
@dataclass(frozen=True)
class ArmConfig:
    """An arm as the configuration describes it; each of its parts may be absent.

    Attributes:
        name: name in results; letters, digits, spaces and . _ + -.
        codec_of: the arm whose codec options are used, or ``BEST`` for those of the best plain arm.
        scale: factor of each side at which pictures are coded, by the qp from which on it holds, or
            ``BEST``.
        prefilter: the filter before the codec.
        map: the source of the quantiser's offsets.
        restorer: the restorer after the decoder: name or path of a recipe that has one, or a restorer's own
            file. With ``recipe``, ``false`` leaves out that of the recipe.
        recipe: name or path of an :class:`npp.Recipe`, which has all of these.
        share: how bits are shared over the pictures, in results of their own.
        options: codec options; all other keys.
    """

    name: str
    codec_of: str | None = None
    scale: ScaleConfig | None = None
    prefilter: PrefilterConfig | None = None
    map: MapConfig | None = None
    restorer: str | bool | None = None
    recipe: str | None = None
    share: Sharing | tuple[Sharing, ...] = ()
    options: dict[str, Any] = field(default_factory=dict, metadata=REST)

    def __post_init__(self) -> None:
        fill_sections(self)
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be of letters, digits, spaces and . _ + -, not {self.name!r}")
        if self.codec_of is not None and self.options:
            raise ValueError(f"{next(iter(self.options))} and codec_of ({self.codec_of}) exclude each other")
        resolve_options(self.options)
        if self.options.get("lossless") and (self.map or self.recipe):
            raise ValueError("lossless goes without map and recipe: nothing is quantised")
        self._check_scale()
        if self.restorer is True or (self.restorer is False and self.recipe is None):
            raise ValueError("restorer must be a recipe's name or path, or with recipe false")
        if self.recipe is not None:
            for setting in ("scale", "prefilter", "map"):
                if getattr(self, setting) is not None:
                    raise ValueError(f"{setting} and recipe exclude each other")

    def _check_scale(self) -> None:
        if isinstance(self.scale, dict):
            checks.table("scale", self.scale, LEAST_FACTOR, 1)
        elif self.scale is not None and self.scale != BEST:
            checks.number("scale", self.scale, LEAST_FACTOR, 1)

    @property
    def prefilter_kind(self) -> str:
        """The kind of the prefilter: none, blur, preprocessor, python or refine."""
        if self.prefilter is None or isinstance(self.prefilter, str):
            return "none"
        return next(iter(vars(self.prefilter)))

    @property
    def needs_seen(self) -> str | None:
        """The reason why the arm needs a seen network, for messages; ``None`` if it needs none."""
        if self.codec_of == BEST or self.scale == BEST or self.finds_blur:
            return f"{BEST!r} is chosen by it"
        if self.prefilter_kind == "refine":
            return "pictures are refined for it"
        return "bits are shared by what it measures" if "measured" in self.share else None

    @property
    def kind(self) -> str:
        """The first of ``KINDS`` that the arm has."""
        has = {"recipe": self.recipe, "map": self.map, "scale": self.scale, "restorer": self.restorer}
        return next(kind for kind in KINDS if has.get(kind) is not None or kind == self.prefilter_kind)

    @property
    def sharings(self) -> tuple[Sharing, ...]:
        """``share`` as a tuple, empty if bits are not shared."""
        return (self.share,) if isinstance(self.share, str) else self.share

    @property
    def finds_blur(self) -> bool:
        """Whether its blur is chosen on the selection photos."""
        return isinstance(self.prefilter, BlurConfig) and self.prefilter.blur == BEST

    @property
    def codec_options(self) -> CodecOptions:
        """The codec options as encoding functions take them."""
        return cast(CodecOptions, self.options)


@dataclass(frozen=True)
class Arm:
    """An arm that is ready to run."""

    name: str
    options: CodecOptions
    prefilter: Prefilter | Refine
    scale: ScaleRule | None = None
    qp_map: MapSource | None = None
    restorer: Restorer | None = None

    def key(self, qp: int) -> dict[str, Any]:
        """A JSON value of all that determines the arm's files at a qp."""
        key = {
            "codec": vars(resolve_options(self.options)),
            "prefilter": self.prefilter.identity(qp),
            "qp": qp,
        }
        if self.scale is not None:
            factor = factor_from(self.scale.factors, qp)
            key["scale"] = [factor, self.scale.input_size, self.scale.least]
        if self.qp_map is not None:
            key["map"] = self.qp_map.identity()
        if self._restorer_digest is not None:
            key["restorer"] = self._restorer_digest
        return key

    @cached_property
    def _restorer_digest(self) -> str | None:
        if self.restorer is None:
            return None
        return hash_state(self.restorer, f"{sorted(self.restorer.settings.items())}")


@dataclass(frozen=True)
class ArmParts:
    """The parts of an arm that can be loaded before anything is measured.

    Attributes:
        prefilter: the filter; ``None`` if a blur is still to be chosen.
        scale: the scale rule; ``None`` if there is none or it is still to be chosen.
        qp_map: the source of the map; ``None`` if there is none.
        options: codec options of a recipe.
        restorer: the restorer; ``None`` if there is none.
    """

    prefilter: Prefilter | Refine | None
    scale: ScaleRule | None
    qp_map: MapSource | None
    options: CodecOptions
    restorer: Restorer | None


def _rule(scale: ScaleConfig | None) -> ScaleRule | None:
    if scale is None or isinstance(scale, str):
        return None
    return ScaleRule(scale if isinstance(scale, dict) else {0.0: scale})


def _of_recipe(recipe: Recipe) -> ArmParts:
    filtering = Unfiltered() if recipe.preprocessor is None else Learned(recipe.preprocessor)
    qp_map = None if recipe.allocator is None else AllocatorMap(recipe.allocator)
    return ArmParts(filtering, recipe.scale, qp_map, recipe.options, recipe.restorer)


def build_parts(
    config: ArmConfig,
    qps: Sequence[int],
    judges: Mapping[str, Judge],
    device: torch.device,
    threads: int | None,
) -> ArmParts:
    """Loads the parts of an arm.

    Args:
        config: the arm.
        qps: the measured qps.
        judges: the judges by label.
        device: device of networks.
        threads: threads of the codec.

    Raises:
        ConfigError: a part cannot be loaded; the message names the arm.
    """
    try:
        named = config.restorer if isinstance(config.restorer, str) else None
        restorer = None if named is None else restorer_of("restorer", named, device)
        if config.recipe is not None:
            parts = _of_recipe(Recipe.load(config.recipe, device))
            return parts if config.restorer is None else replace(parts, restorer=restorer)
        filtering = None if config.finds_blur else build_prefilter(config.prefilter, qps, device, threads)
        qp_map = None if config.map is None else config.map.build(judges, device)
        return ArmParts(filtering, _rule(config.scale), qp_map, {}, restorer)
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"arm {config.name}: {error}") from error
