"""An allocator learns the importance that the gradients of several networks give."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.allocation import Allocator
from npp.allocation.allocator_network import block_statistics
from npp.allocation.maps import centred, smoothed
from npp.allocation.trunk import Trunk
from npp.codec.qp_maps import MAP_BLOCK
from npp.progress import Progress, untold
from npp.training.allocator_checkpoint import LabelScales, Learner, conditions_of, read_checkpoint
from npp.training.allocator_config import DistilSettings
from npp.training.allocator_labels import SIGMA, Labelled, read_labels
from npp.training.allocator_start import load_trunk
from npp.training.schedule import averaged, rate_factor
from npp.training.train_config import OptimiserConfig

_WEIGHTS = "allocator.safetensors"
_CHECKPOINT = "last.ckpt"
_LEVEL_SHARE = 0.1  # of the picture's own sensitivity in the loss
_WHOLE_SHARE = 0.25  # of a picture that is seen whole, against a batch of crops
_HUBER = 1.5  # in spreads of the maps: labels of one draw are noisy


class _Batch(NamedTuple):
    """Pictures of one size: features of the trunk's start, and what is wanted of each head.

    ``present`` (N, K) is 1 where a network labelled a picture.
    """

    features: Tensor
    statistics: Tensor
    qp: Tensor
    maps: Tensor
    levels: Tensor
    present: Tensor


def _start_of(trunk: Trunk, kept: int, x: Tensor) -> Tensor:
    """Features after the trunk's first bottlenecks."""
    y = trunk.enter(x)
    for bottle in trunk.bottles[:kept]:
        y = bottle(y)
    return y


class _Lessons:
    """Labels as batches, with what is needed of them kept.

    Args:
        labels: pictures.
        heads: names in their order.
        allocator: whose trunk's start makes the features.
        settings: how much of it stays.
    """

    def __init__(
        self, labels: Sequence[Labelled], heads: Sequence[str], allocator: Allocator, settings: DistilSettings
    ) -> None:
        self._labels = labels
        self._heads = heads
        self._trunk = allocator.network.trunk
        self._kept = settings.kept
        self._cache: dict[tuple[int, bool], _Batch] = {}
        sizes = [one.x.shape for one in labels]
        common = max(set(sizes), key=sizes.count)
        self.crops = [index for index, size in enumerate(sizes) if size == common]
        self.wholes = [index for index, size in enumerate(sizes) if size != common]

    def _targets(self, one: Labelled) -> tuple[Tensor, Tensor, Tensor]:
        rows, columns = (side // MAP_BLOCK for side in one.x.shape[:2])
        maps = torch.zeros(len(self._heads), rows, columns)
        levels, present = torch.zeros(len(self._heads)), torch.zeros(len(self._heads))
        for k, name in enumerate(self._heads):
            if name in one.logarithms:
                found = torch.from_numpy(one.logarithms[name])
                maps[k], present[k] = centred(smoothed(found[None], SIGMA))[0], 1
                levels[k] = torch.logsumexp(found.flatten() * np.log(2), 0) / np.log(2)
        return maps, levels, present

    @torch.no_grad()
    def _lesson(self, index: int, mirrored: bool) -> _Batch:
        key = index, mirrored
        if key not in self._cache:
            one = self._labels[index]
            x = one.picture()
            maps, levels, present = self._targets(one)
            if mirrored:
                x, maps = x.flip(-1), maps.flip(-1)
            features = _start_of(self._trunk, self._kept, x.contiguous(memory_format=torch.channels_last))
            parts = block_statistics(x), torch.tensor([float(one.qp)]), maps[None], levels[None]
            self._cache[key] = _Batch(features.half(), *parts, present[None])
        return self._cache[key]

    def batch(self, chosen: Sequence[tuple[int, bool]]) -> _Batch:
        """Pictures of one size, each with whether it is mirrored."""
        found = [self._lesson(*one) for one in chosen]
        joined = _Batch(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        return joined._replace(features=joined.features.float())

    def scales(self) -> LabelScales:
        """Raises ValueError if no picture has a label of some head."""
        targets = [self._targets(one) for one in self._labels]
        spreads, levels = [], []
        for k, name in enumerate(self._heads):
            seen = [(maps[k], level[k]) for maps, level, present in targets if present[k]]
            if not seen:
                raise ValueError(f"labels: none of {len(targets)} pictures has one of the head {name!r}")
            spreads.append(torch.stack([one.std(correction=0) for one, _ in seen]).mean().clamp_min(1e-3))
            levels.append(torch.stack([level for _, level in seen]))
        means = torch.stack([level.mean() for level in levels])
        widths = torch.stack([level.std(correction=0).clamp_min(1e-3) for level in levels])
        return LabelScales(torch.stack(spreads), means, widths)


def _turns(indices: Sequence[int], seed: int) -> Iterator[tuple[int, bool]]:
    """All of them in random order, over and over, each mirrored half of the times."""
    for epoch in itertools.count():
        rng = np.random.default_rng([seed, epoch])
        for index in rng.permutation(len(indices)):
            yield indices[int(index)], bool(rng.random() < 0.5)


def _predicted(allocator: Allocator, batch: _Batch, kept: int, dropout: float) -> tuple[Tensor, Tensor]:
    features = batch.features
    for bottle in allocator.network.trunk.bottles[kept:]:
        features = bottle(features)
    return allocator.network.finish(F.dropout2d(features, dropout), batch.statistics, batch.qp)


def _mean_of_present(values: Tensor, present: Tensor) -> Tensor:
    """Mean of values (N, K) where present (N, K) is 1."""
    return (values * present).sum() / present.sum().clamp_min(1)


def _loss(allocator: Allocator, batch: _Batch, scales: LabelScales, settings: DistilSettings) -> Tensor:
    maps, levels = _predicted(allocator, batch, settings.kept, settings.dropout)
    error = (maps - batch.maps) / scales.maps[:, None, None]
    of_maps = F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=_HUBER).mean((2, 3))
    wrong = levels - (batch.levels - scales.level_mean) / scales.level_spread
    of_levels = F.huber_loss(wrong, torch.zeros_like(wrong), reduction="none")
    of_maps, of_levels = (_mean_of_present(one, batch.present) for one in (of_maps, of_levels))
    return of_maps + _LEVEL_SHARE * of_levels


def _optimiser(allocator: Allocator, settings: DistilSettings) -> torch.optim.AdamW:
    trunk = allocator.network.trunk
    frozen = [trunk.first, *trunk.bottles[: settings.kept]]
    for part in frozen:
        part.requires_grad_(False)
    upper = [p for p in trunk.parameters() if p.requires_grad]
    own = {id(p) for p in trunk.parameters()}
    body = [p for p in allocator.parameters() if id(p) not in own]
    groups = [{"params": upper, "rate": settings.trunk_rate}, {"params": body, "rate": 1.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], weight_decay=settings.optimiser.weight_decay
    )


@torch.no_grad()
def _in_units(allocator: Allocator, scales: LabelScales) -> None:
    """The level's layer, learned in spreads from the mean, now gives log2 of the importance itself."""
    layer = allocator.network.level
    layer.weight.mul_(scales.level_spread[:, None])
    layer.bias.mul_(scales.level_spread).add_(scales.level_mean)


@torch.no_grad()
def _out_of_units(allocator: Allocator, scales: LabelScales) -> None:
    """The opposite of :func:`_in_units`, for heads that have learned their level before."""
    layer = allocator.network.level
    learned = layer.weight.abs().sum(1) > 0
    weight = layer.weight / scales.level_spread[:, None]
    bias = (layer.bias - scales.level_mean) / scales.level_spread
    layer.weight.copy_(torch.where(learned[:, None], weight, layer.weight))
    layer.bias.copy_(torch.where(learned, bias, layer.bias))


def distil(
    labels: Path,
    out: Path,
    settings: DistilSettings | None = None,
    *,
    allocator: Allocator | None = None,
    progress: Progress = untold,
) -> Path:
    """Trains an allocator on the labels of a folder.

    It goes on from ``last.ckpt`` in ``out`` if that is there, and then ends with the weights of a training
    that was never stopped.

    Args:
        labels: folder of :func:`npp.training.allocator_labels.label_photos`.
        out: folder for checkpoints and the weights.
        settings: see :class:`DistilSettings`.
        allocator: where to start; by default one whose trunk has EfficientNet-Lite0's weights, with a head
            for each network that labelled a picture.
        progress: told how many steps are done since the last time.

    Returns:
        Path of the averaged weights, for :meth:`npp.Allocator.load`.

    Raises:
        ValueError: no labels, or none of some head; a checkpoint of another training.
    """
    settings = settings or DistilSettings()
    pictures = read_labels(labels)
    if allocator is None:
        torch.manual_seed(settings.seed)
        allocator = Allocator(heads=tuple(sorted({name for one in pictures for name in one.logarithms})))
        load_trunk(allocator.network.trunk)
    lessons = _Lessons(pictures, allocator.settings.heads, allocator, settings)
    scales = lessons.scales()
    conditions = conditions_of(settings, allocator)
    _out_of_units(allocator, scales)
    optimiser = _optimiser(allocator.train(), settings)
    mean = averaged(allocator, settings.optimiser.ema)
    learner = Learner(allocator, mean, optimiser, scales, conditions)
    first, scales = learner.restore(out / _CHECKPOINT, settings.optimiser.steps)
    if 0 < first == settings.optimiser.steps:
        warnings.warn(
            f"{out / _CHECKPOINT} has done all {first} steps: nothing is left to train, and labels that have "
            "come since teach nothing",
            stacklevel=2,
        )
    learner = learner._replace(scales=scales)
    progress(first)
    crops = itertools.islice(_turns(lessons.crops, settings.seed), first * settings.optimiser.batch, None)
    wholes = itertools.islice(_turns(lessons.wholes, settings.seed + 1), first * settings.wholes, None)
    for step in range(first, settings.optimiser.steps):
        torch.manual_seed(settings.seed + step)  # dropout's draws, so that a run can be continued exactly
        chosen = [list(itertools.islice(crops, settings.optimiser.batch))]
        if lessons.wholes:
            chosen += [[one] for one in itertools.islice(wholes, settings.wholes)]
        for turn, part in enumerate(chosen):
            share = _WHOLE_SHARE if turn else 1.0
            (share * _loss(allocator, lessons.batch(part), scales, settings)).backward()  # type: ignore[no-untyped-call]
        _step(allocator, optimiser, settings.optimiser, step)
        mean.update_parameters(allocator)
        progress(1)
        if (step + 1) % settings.checkpoint_every == 0:
            learner.store(out / _CHECKPOINT, step + 1)
    return _finished(mean.module, scales, out)


def _step(allocator: Allocator, optimiser: torch.optim.AdamW, config: OptimiserConfig, step: int) -> None:
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * rate_factor(step, config) * group["rate"]
    if config.clip:
        nn.utils.clip_grad_norm_(allocator.parameters(), config.clip)
    optimiser.step()
    optimiser.zero_grad()


def _finished(averaged_allocator: Any, scales: LabelScales, out: Path) -> Path:
    result: Allocator = averaged_allocator.eval()
    _in_units(result, scales)
    out.mkdir(parents=True, exist_ok=True)
    path = out / _WEIGHTS
    result.save(path)
    return path


def check_folder(out: Path, settings: DistilSettings, allocator: Allocator) -> None:
    """Looks whether :func:`distil` can begin or go on in a folder, before labels are made for it.

    Raises:
        ValueError: it has a checkpoint of another training; the message says in what.
    """
    read_checkpoint(out / _CHECKPOINT, settings.optimiser.steps, conditions_of(settings, allocator))
