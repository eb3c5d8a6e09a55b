"""Builds the recipe that is trained from a configuration, and runs batches of many qps through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from npp.allocation import Allocator
from npp.allocation.allocator import adjusted
from npp.config.typed import refusal
from npp.config.yaml_files import ConfigError
from npp.gradient.in_parts import compress_in_parts, part_slices
from npp.gradient.pairing import Compressed
from npp.gradient.surrogates import Surrogate
from npp.preprocessing import Preprocessor
from npp.recipes import Recipe, ScaleRule
from npp.recipes.part_loading import filter_of, restorer_of
from npp.recipes.picture_floats import shown
from npp.recipes.scale import enlarge, shrink
from npp.restoration import Restorer
from npp.training.parts_config import (
    AllocatorConfig,
    PreprocessorConfig,
    RestorerConfig,
    refuse_settings_beside_start,
)
from npp.training.train_config import TrainConfig

_GAP = 4
_GAIN = 8
_OF_RECIPE = "recipe:"
_MAP_RANGE = 12.0  # qps from black to white
_Part = TypeVar("_Part", Preprocessor, Allocator, Restorer)
_Errors = (OSError, TypeError, ValueError)


class TrainedBatch(NamedTuple):
    """A batch on its way through a recipe.

    Attributes:
        x: (N, 3, h, w), the pictures at the size that is coded.
        x_pre: (N, 3, h, w), the filtered pictures, which were coded.
        qp_map: (N, ceil(h/16), ceil(w/16)), the offsets, not rounded; ``None`` without an allocator.
        x_hat: (N, 3, H, W), the decoded and restored pictures, at their first size.
        bpp: (N,) bits for each pixel of that size.
    """

    x: Tensor
    x_pre: Tensor
    qp_map: Tensor | None
    x_hat: Tensor
    bpp: Tensor

    def mse(self) -> Tensor:
        """The squared error (N,) of the filtered pictures against the unfiltered, pixels in [0, 1]."""
        return (self.x_pre.float() - self.x.float()).square().mean((1, 2, 3))

    def energy(self) -> Tensor:
        """The mean square (N,) of the map's offsets, in squared qps; zeros without a map."""
        if self.qp_map is None:
            return self.x.new_zeros(len(self.x), dtype=torch.float32)
        return self.qp_map.square().mean((1, 2))


def _begun(
    chosen: PreprocessorConfig | AllocatorConfig | RestorerConfig,
    make: Callable[..., _Part],
    load: Callable[[str], _Part],
) -> _Part:
    """Makes a new network with the settings of a section, or loads the one that it starts with."""
    if chosen.start is None:
        return make(**chosen.settings)
    refuse_settings_beside_start(chosen.settings)
    return load(chosen.start)


def build_preprocessor(chosen: PreprocessorConfig) -> Preprocessor:
    """The network of a configuration, or the weights that it starts with.

    Raises:
        ConfigError: an unknown network or setting, no such weights, or nothing to train.
    """
    try:
        network = _begun(chosen, partial(Preprocessor, chosen.network), _filter_of)
    except _Errors as error:
        raise ConfigError(f"preprocessor: {refusal(error, chosen)}") from None
    if chosen.train and not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"preprocessor.network {network.network!r} has nothing to train")
    return _trained_or_not(network, chosen.train)


def _filter_of(start: str) -> Preprocessor:
    """Loads a filter by name or path, or that of a recipe after ``recipe:``."""
    if not start.startswith(_OF_RECIPE):
        return Preprocessor.load(start)
    return filter_of("start", start.removeprefix(_OF_RECIPE))


def build_allocator(chosen: AllocatorConfig) -> Allocator:
    """The network of a configuration, or the weights that it starts with.

    Raises:
        ConfigError: an unknown setting, or no such weights.
    """
    try:
        network = _begun(chosen, Allocator, Allocator.load)
        network = adjusted(network, chosen.strength, chosen.limit, chosen.mix)
    except _Errors as error:
        raise ConfigError(f"allocator: {refusal(error, chosen)}") from None
    network = _trained_or_not(network, chosen.train)
    # How sensitive a picture is as a whole has no part in its map.
    network.network.level.requires_grad_(False)
    return network


def build_restorer(chosen: RestorerConfig) -> Restorer:
    """The network of a configuration, or the weights that it starts with.

    Raises:
        ConfigError: an unknown setting, or no such weights.
    """
    try:
        network = _begun(chosen, Restorer, partial(restorer_of, "start"))
    except _Errors as error:
        raise ConfigError(f"restorer: {refusal(error, chosen)}") from None
    return _trained_or_not(network, chosen.train)


def _trained_or_not(network: _Part, train: bool) -> _Part:
    """Sets a network to training, or freezes it."""
    return network.train(train).requires_grad_(train)


def _scale_rule(factor: float) -> ScaleRule | None:
    """A rule of one factor for all qps; ``None`` for 1."""
    return ScaleRule({0: factor}) if factor < 1 else None


def bare_recipe(config: TrainConfig, scale: float | None = None) -> Recipe:
    """A recipe of a configuration's codec alone, at its scale or another one."""
    factor = config.scale if scale is None else scale
    return Recipe(scale=_scale_rule(factor), options=config.codec.all_options)


def build_recipe(config: TrainConfig) -> Recipe:
    """Builds the recipe of a configuration, before it is trained.

    Raises:
        ConfigError: a part that cannot be built; the message names it.
    """
    filter_config, map_config, restorer_config = config.preprocessor, config.allocator, config.restorer
    return Recipe(
        Path(config.out).name,
        scale=_scale_rule(config.scale),
        preprocessor=None if filter_config is None else build_preprocessor(filter_config),
        allocator=None if map_config is None else build_allocator(map_config),
        restorer=None if restorer_config is None else build_restorer(restorer_config),
        options=config.codec.all_options,
        card=f"{'Trained' if config.optimiser.steps else 'Put together'} by npp train for "
        f"{', '.join(config.labels)}.",
    )


def trained_parts(recipe: Recipe, config: TrainConfig) -> list[tuple[nn.Module, float]]:
    """The parts of a recipe that a configuration trains, each with its share of the learning rate."""
    given: tuple[tuple[nn.Module | None, Any], ...] = (
        (recipe.preprocessor, config.preprocessor),
        (recipe.allocator, config.allocator),
        (recipe.restorer, config.restorer),
    )
    # A filter has no rate of its own: the others' are parts of it.
    return [
        (part, getattr(chosen, "rate", 1.0))
        for part, chosen in given
        if part is not None and chosen is not None and chosen.train
    ]


class PreparedBatch(NamedTuple):
    """A batch as the codec gets it.

    Attributes:
        size: height and width of the pictures before they were shrunk.
        x: (N, 3, h, w), the pictures at the size that is coded.
        x_pre: (N, 3, h, w), the filtered pictures.
        qp_map: (N, ceil(h/16), ceil(w/16)), the offsets, not rounded; ``None`` without an allocator.
    """

    size: tuple[int, int]
    x: Tensor
    x_pre: Tensor
    qp_map: Tensor | None

    def rows(self, where: slice) -> PreparedBatch:
        """The batch of some of the pictures."""
        qp_map = None if self.qp_map is None else self.qp_map[where]
        return PreparedBatch(self.size, self.x[where], self.x_pre[where], qp_map)

    def decoded(self, coded: Compressed, restorer: Restorer | None) -> TrainedBatch:
        """The batch behind the codec.

        Args:
            coded: the result of coding ``x_pre`` with ``qp_map``.
            restorer: the restorer behind the decoder, if there is one.
        """
        pixels = self.x.shape[-2] * self.x.shape[-1] / (self.size[0] * self.size[1])
        x_hat = shown(coded.x_hat, self.size, restorer)
        return TrainedBatch(self.x, self.x_pre, self.qp_map, x_hat, coded.bpp * pixels)


def prepare(recipe: Recipe, x: Tensor, qp: Tensor) -> PreparedBatch:
    """Runs a batch through scale, filter and allocator; the arguments are those of :func:`code_batch`."""
    size = x.shape[-2], x.shape[-1]
    small = x if recipe.scale is None else shrink(x, recipe.scale.size(0, *size))
    x_pre = small if recipe.preprocessor is None else recipe.preprocessor(small, qp)
    qp_map = None if recipe.allocator is None else recipe.allocator(x_pre, qp)
    return PreparedBatch(size, small, x_pre, qp_map)


def code_batch(
    recipe: Recipe, x: Tensor, qp: Tensor, *, surrogate: Surrogate, threads: int | None
) -> TrainedBatch:
    """Runs a batch through scale, filter, map and codec: :meth:`npp.Recipe.compress` for many qps.

    Args:
        recipe: the recipe, with one scale for all qps, as :func:`build_recipe` makes it.
        x: (N, 3, H, W) in [0, 1].
        qp: (N,), the qp of each picture.
        surrogate, threads: as in :func:`npp.compress`.
    """
    ready = prepare(recipe, x, qp)
    (coded,) = code_in_parts(recipe, ready, qp, parts=1, surrogate=surrogate, threads=threads)
    return coded


def code_in_parts(
    recipe: Recipe,
    ready: PreparedBatch,
    qp: Tensor,
    *,
    parts: int,
    surrogate: Surrogate,
    threads: int | None,
) -> Iterator[TrainedBatch]:
    """Runs a prepared batch through the codec part by part, as :func:`npp.compress_in_parts` does."""
    coded_parts = compress_in_parts(
        ready.x_pre,
        qp,
        parts=parts,
        qp_map=ready.qp_map,
        surrogate=surrogate,
        threads=threads,
        **recipe.options,
    )
    for where, coded in zip(part_slices(len(ready.x_pre), parts), coded_parts, strict=True):
        yield ready.rows(where).decoded(coded, recipe.restorer)


def change_strip(x: Tensor, coded: TrainedBatch) -> Tensor:
    """Draws pictures and what a recipe makes of them, a row for each picture.

    The columns are the original, the preprocessed and the decoded picture, eight times the filter's change on
    gray, and with an allocator the map, white where bits are saved.

    Args:
        x: (N, 3, H, W) in [0, 1].
        coded: the pictures on their way through the recipe.

    Returns:
        (3, N (H + 4), 4 or 5 times (W + 4)) in [0, 1].
    """
    size = x.shape[-2], x.shape[-1]
    change = 0.5 + _GAIN * (coded.x_pre - coded.x)
    columns = [x, enlarge(coded.x_pre, size), coded.x_hat, enlarge(change, size)]
    if coded.qp_map is not None:
        offsets = 0.5 + coded.qp_map[:, None].to(x.dtype) / _MAP_RANGE
        columns.append(nn.functional.interpolate(offsets, size).expand_as(x))
    padded = [nn.functional.pad(one, (0, _GAP, 0, _GAP), value=1.0) for one in columns]
    return torch.cat(list(torch.cat(padded, 3)), 1).clamp(0, 1)
