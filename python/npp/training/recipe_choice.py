"""Chooses a recipe's size, and its map's strength and limit, on photos by the bits that equal losses take."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

import npp.checks as checks
from npp.evaluation.choosing import curve_qps, rate_offset
from npp.evaluation.json_values import finite
from npp.progress import Progress, no_progress
from npp.recipes import Recipe, ScaleRule
from npp.recipes.parts import Parts
from npp.tasks import Task
from npp.training.baseline import Coder, Curve, Sums, add_points, curve_bd_rate, log_heights
from npp.training.choice_config import ChoiceConfig, ScaleChoices

_ALL = Parts()
_PLAIN = Parts(scale=False, filter=False, qp_map=False, restorer=False)
_DEFAULT_QPS = (28, 31, 34, 37, 40, 44)


class MapSetting(NamedTuple):
    """The strength and the limit of a map; both are ``None`` where there is no map."""

    strength: float | None
    limit: float | None


@dataclass(frozen=True)
class Measured:
    """A recipe with one map and one size for all qps.

    Attributes:
        setting: the setting of the map.
        factor: the factor that shrinks both sides; ``None`` for the recipe's own rule.
        curve: bits for each of the photo's pixels, and losses, by qp.
        offsets: at each qp log10 of the ratio of its bits to those that the plain codec needs for the same
            losses, as the mean over the tasks; infinite where the plain codec's curve does not go that far.
    """

    setting: MapSetting
    factor: float | None
    curve: Curve
    offsets: list[float]


@dataclass(frozen=True)
class Candidate:
    """A map with the sizes that suit it.

    Attributes:
        setting: the setting of the map.
        scale: the scale rule; ``None`` where pictures keep their size.
        curve: bits and losses with these, by qp.
        bd_rates: the BD-rates in percent, by task, at equal log-loss against the plain codec; NaN where the
            curves do not overlap.
    """

    setting: MapSetting
    scale: ScaleRule | None
    curve: Curve
    bd_rates: dict[str, float]

    @property
    def bd_rate(self) -> float:
        """The BD-rate in percent, as the mean of the logarithms over the tasks."""
        logarithms = [math.log1p(rate / 100) for rate in self.bd_rates.values()]
        return 100 * math.expm1(sum(logarithms) / len(logarithms))

    def __str__(self) -> str:
        strength, limit = self.setting
        parts = ["no map"] if strength is None else [f"map of strength {strength:g} within {limit:g}"]
        if self.scale is not None:
            parts += [
                f"{factor:g} of the size from qp {qp:g} on" for qp, factor in self.scale.factors.items()
            ]
        rates = ", ".join(f"{label} {rate:+.1f} %" for label, rate in self.bd_rates.items())
        return f"{', '.join(parts)}: {self.bd_rate:+.1f} %" + (
            f" ({rates})" if len(self.bd_rates) > 1 else ""
        )


@dataclass(frozen=True)
class ChosenRecipe:
    """The chosen recipe, and everything by which it was chosen.

    Attributes:
        recipe: a recipe with the chosen settings, and a card that tells of them; it shares the networks of
            the one that was given.
        chosen: its index among the candidates; ``None`` where none could be compared with the plain codec.
        candidates: all candidates, each with another map.
        measured: the curves that the candidates' curves are put together from.
        plain: the curve of the codec alone with the recipe's options, with one more point at each end.
        photos: the number of photos.
    """

    recipe: Recipe
    chosen: int | None
    candidates: list[Candidate]
    measured: list[Measured]
    plain: Curve
    photos: int

    def as_mapping(self) -> dict[str, Any]:
        """Everything but the recipe, for JSON; a number that is not finite is ``None``."""
        candidates = [
            {
                **one.setting._asdict(),
                "scale": None if one.scale is None else one.scale.as_mapping(),
                "bd_rate": finite(one.bd_rate),
                "bd_rates": {label: finite(rate) for label, rate in one.bd_rates.items()},
                "curve": asdict(one.curve),
            }
            for one in self.candidates
        ]
        measured = [
            {
                **one.setting._asdict(),
                "factor": one.factor,
                "log10_offsets": [finite(offset) for offset in one.offsets],
                "curve": asdict(one.curve),
            }
            for one in self.measured
        ]
        head = {"photos": self.photos, "plain": asdict(self.plain), "chosen": self.chosen}
        return {**head, "candidates": candidates, "measured": measured}


def _changed(recipe: Recipe, setting: MapSetting, scale: ScaleRule | None, told: str = "") -> Recipe:
    """A recipe of the same networks with another map and size; ``told`` is added to its card."""
    allocator = recipe.allocator
    if setting.strength is None or allocator is None:
        allocator = None
    else:
        allocator = allocator.with_strength(setting.strength, setting.limit)
    card = "\n".join(filter(None, (recipe.card, told)))
    return recipe.changed(scale=scale, allocator=allocator, card=card).eval()


def _map_settings(recipe: Recipe, choices: ChoiceConfig) -> list[MapSetting]:
    """The maps that are tried: none, and where there is an allocator all strengths and limits."""
    found = [MapSetting(None, None)]
    if recipe.allocator is not None:
        limits = choices.limits or (recipe.allocator.settings.limit,)
        found += [MapSetting(s, limit) for s in sorted(set(choices.strengths)) if s for limit in limits]
    return found


class _Variant(NamedTuple):
    """A map and a size that are tried together; a ``factor`` of ``None`` is the recipe's own size."""

    setting: MapSetting
    factor: float | None
    scale: ScaleRule | None


def _variants(recipe: Recipe, choices: ChoiceConfig) -> list[list[_Variant]]:
    """The variants that are measured: for each map those at all sizes, the largest first."""
    sizes: list[tuple[float | None, ScaleRule | None]] = [(None, recipe.scale)]
    if choices.scales is not None:
        sizes = [(factor, choices.scales.rule({0.0: factor})) for factor in choices.scales.factors]
    return [
        [_Variant(setting, factor, scale) for factor, scale in sizes]
        for setting in _map_settings(recipe, choices)
    ]


def _batches(photos: Tensor | Iterable[Tensor]) -> Iterable[Tensor]:
    """Yields photos as batches (N, 3, H, W).

    Raises:
        ValueError: one has another shape.
    """
    for one in [photos] if isinstance(photos, Tensor) else photos:
        if not isinstance(one, Tensor) or one.ndim not in (3, 4):
            shape = tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__
            raise ValueError(f"photos must be (N, 3, H, W) or (3, H, W), not {shape}")
        yield one if one.ndim == 4 else one[None]


def _coder(recipe: Recipe, threads: int | None, parts: Parts = _ALL) -> Coder:
    """A function that codes pictures with these parts of a recipe."""
    return partial(recipe.compress, parts=parts, threads=threads)


def _curves(
    ways: Sequence[tuple[Sequence[int], Coder]],
    photos: Iterable[Tensor],
    tasks: Mapping[str, Task],
    progress: Progress,
) -> tuple[list[Curve], int]:
    """Measures the curve of each way to code, at its own qps, and counts the photos.

    Raises:
        ValueError: no photos.
    """
    sums = [Sums(qps, list(tasks)) for qps, _ in ways]
    count = 0
    for x in photos:
        targets = {label: task.loss_targets(x) for label, task in tasks.items()}
        for one, (qps, coder) in zip(sums, ways, strict=True):
            add_points(one, x, targets, tasks, qps, coder)
            progress(len(x))
        count += len(x)
    if not count:
        raise ValueError("photos must not be empty")
    return [one.curve() for one in sums], count


def _offsets(plain: Curve, curve: Curve) -> list[float]:
    """The offsets of a curve, see :class:`Measured`."""
    found = [0.0] * len(curve.qps)
    for label in curve.losses:
        rates, heights = log_heights(plain, label)
        own_rates, own_heights = log_heights(curve, label)
        for place, (rate, height) in enumerate(zip(own_rates, own_heights, strict=True)):
            found[place] += rate_offset(rates, heights, float(rate), float(height)) / len(curve.losses)
    return found


def _measured(one: _Variant, curve: Curve, plain: Curve) -> Measured:
    """A variant with its curve and offsets."""
    return Measured(one.setting, one.factor, curve, _offsets(plain, curve))


def _at(curve: Curve, qps: Sequence[int]) -> Curve:
    """The points of a curve at some of its qps."""
    places = [curve.qps.index(qp) for qp in qps]
    losses = {label: [values[i] for i in places] for label, values in curve.losses.items()}
    return Curve(list(qps), [curve.bpp[i] for i in places], losses)


class _Way(NamedTuple):
    """The index of the size at each qp so far, and the sum of their offsets."""

    offset: float
    places: list[int]


def best_sizes(offsets: Sequence[Sequence[float]]) -> list[int] | None:
    """Chooses a size at each qp so that sizes never grow with the qp and the sum of offsets is least.

    An infinite offset is an unknown one: there only the size of the qp before is kept.

    All qps are decided together, for a recipe is used between them too, where it keeps the size of the qp
    before: a size must suit its neighbours. :func:`npp.evaluation.choosing.best_factors`, for an arm that is
    compared at these qps alone, decides at each of them nearly by itself, and sizes may grow again.

    Args:
        offsets: for each qp the offsets of the sizes, the largest size first.

    Returns:
        The index of a size for each qp; ``None`` where all offsets of the first qp are unknown.
    """
    ways = {place: _Way(first, [place]) for place, first in enumerate(offsets[0]) if math.isfinite(first)}
    for row in offsets[1:]:
        longer: dict[int, _Way] = {}
        for place, offset in enumerate(row):
            known = math.isfinite(offset)
            before = [way for last, way in ways.items() if last == place or (known and last < place)]
            if before:
                best = min(before, key=lambda way: way.offset)
                longer[place] = _Way(best.offset + (offset if known else 0.0), [*best.places, place])
        ways = longer
    return min(ways.values(), key=lambda way: way.offset).places if ways else None


def _put_together(
    measured: Sequence[Measured], scales: ScaleChoices | None, own: ScaleRule | None, plain: Curve
) -> Candidate:
    """Makes the candidate of a map from its curves at all sizes, the largest first."""
    first = measured[0]
    qps = first.curve.qps
    places = best_sizes(list(zip(*(one.offsets for one in measured), strict=True))) or [0] * len(qps)
    losses = {
        label: [measured[place].curve.losses[label][i] for i, place in enumerate(places)]
        for label in first.curve.losses
    }
    curve = Curve(qps, [measured[place].curve.bpp[i] for i, place in enumerate(places)], losses)
    rule = own
    if scales is not None:
        factors = {
            float(qp): scales.factors[place]
            for i, (qp, place) in enumerate(zip(qps, places, strict=True))
            if (place != places[i - 1] if i else place)
        }
        rule = scales.rule(factors)
    anchor = _at(plain, qps)
    rates = {label: curve_bd_rate(anchor, curve, label) for label in losses}
    return Candidate(first.setting, rule, curve, rates)


def _chosen(candidates: Sequence[Candidate]) -> int | None:
    """The index of the candidate of least BD-rate; ``None`` where none has one."""
    comparable = [place for place, one in enumerate(candidates) if math.isfinite(one.bd_rate)]
    return min(comparable, key=lambda place: candidates[place].bd_rate, default=None)


def _told(candidates: Sequence[Candidate], chosen: int, photos: int, qps: Sequence[int]) -> str:
    """The lines of a recipe's card about what was chosen and what else was tried."""
    head = (
        f"Chosen on {photos} photos at qp {', '.join(map(str, qps))} by BD-rate against the codec alone at "
        f"equal loss: {candidates[chosen]}."
    )
    others = [f"  {one}" for place, one in enumerate(candidates) if place != chosen]
    return "\n".join([head, *(["Others that were tried:", *others] if others else [])])


@torch.no_grad()
def choose_recipe(
    recipe: Recipe,
    photos: Tensor | Iterable[Tensor],
    tasks: Task | Mapping[str, Task],
    choices: ChoiceConfig | None = None,
    *,
    qps: Sequence[int] = _DEFAULT_QPS,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> ChosenRecipe:
    """Finds the best strength and limit of a recipe's map, and the best sizes to code pictures at.

    Every photo goes through the real codec with every map at every size and qp. For each map the sizes are
    chosen, qp by qp, by the bits that the plain codec needs for the same losses, smaller ones only from some
    qp on; then the map by BD-rate against the plain codec with the recipe's options. With several tasks the
    mean of the logarithms decides.

    Args:
        recipe: the recipe to choose for, which is not changed.
        photos: (N, 3, H, W) or (3, H, W) floats in [0, 1], one tensor or several of any sizes, on the
            device of the recipe's and the tasks' networks; none that results will be reported on.
        tasks: one task, or several by label; their losses compare with their predictions on the clean photo.
        choices: see :class:`npp.training.ChoiceConfig`.
        qps: the qps where ``choices`` has none; at least two.
        threads: threads of the codec.
        progress: called with the number of pictures that were coded since the last call.

    Returns:
        See :class:`ChosenRecipe`. Where nothing can be compared with the plain codec, the recipe is the one
        that was given, with a warning.

    Raises:
        ValueError: no photos, no tasks, or wrong qps.
    """
    choices = choices or ChoiceConfig()
    by_label = {tasks.name: tasks} if isinstance(tasks, Task) else dict(tasks)
    if not by_label:
        raise ValueError("tasks must not be empty")
    chosen_qps = checks.qps("qps", choices.qps or qps, fewest=2)
    variants = _variants(recipe, choices)
    tried = [_changed(recipe, one.setting, one.scale) for one in chain.from_iterable(variants)]
    ways = [
        (curve_qps(chosen_qps), _coder(recipe, threads, _PLAIN)),
        *((chosen_qps, _coder(one, threads)) for one in tried),
    ]
    (plain, *curves), count = _curves(ways, _batches(photos), by_label, progress)
    in_order = iter(curves)
    measured = [[_measured(one, next(in_order), plain) for one in sizes] for sizes in variants]
    candidates = [_put_together(sizes, choices.scales, recipe.scale, plain) for sizes in measured]
    return _result(recipe, candidates, list(chain.from_iterable(measured)), plain, count)


def rounds_of(recipe: Recipe, choices: ChoiceConfig) -> int:
    """The number of times that :func:`choose_recipe` takes each photo through all qps."""
    return 1 + sum(map(len, _variants(recipe, choices)))


def _result(
    recipe: Recipe, candidates: list[Candidate], measured: list[Measured], plain: Curve, count: int
) -> ChosenRecipe:
    place = _chosen(candidates)
    if place is None:
        warnings.warn(
            "nothing was chosen: no candidate's curve overlaps that of the codec alone; other qps or more "
            "photos may help",
            stacklevel=3,
        )
        return ChosenRecipe(recipe, None, candidates, measured, plain, count)
    best = candidates[place]
    told = _told(candidates, place, count, best.curve.qps)
    chosen = _changed(recipe, best.setting, best.scale, told)
    return ChosenRecipe(chosen, place, candidates, measured, plain, count)
