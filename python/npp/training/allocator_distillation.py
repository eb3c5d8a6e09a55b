"""Trains an allocator on the importance that the gradients of several networks give.

One step looks at a batch of crops, all of one size, and then at some whole pictures one by one, since their
sizes differ. The gradients of all of them add up, and the optimiser moves the weights once. Then the moving
average of the weights is updated, which is the result of a training.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.allocation import Allocator
from npp.progress import Progress, no_progress
from npp.training.allocator_checkpoint import TrainingState, conditions_of, read_checkpoint
from npp.training.allocator_config import DistilSettings
from npp.training.allocator_examples import Example, ExampleBatch, ExampleSet, LabelScales, shuffled
from npp.training.allocator_start import load_trunk
from npp.training.label_store import Labelled, read_shards
from npp.training.schedule import rate_factor
from npp.training.train_config import OptimiserConfig
from npp.training.weight_average import averaged

_WEIGHTS = "allocator.safetensors"
_CHECKPOINT = "last.ckpt"
_LEVEL_SHARE = 0.1  # of the picture's own sensitivity in the loss
_WHOLE_SHARE = 0.25  # of a whole picture's loss, against that of a batch of crops
_HUBER = 1.5  # where the loss becomes linear, in spreads of the maps, for labels of one draw are noisy


class _StepExamples(NamedTuple):
    """The examples of one step: crops, which form a batch, and whole pictures, which go one by one."""

    crops: list[Example]
    wholes: list[Example]


def _examples_by_step(examples: ExampleSet, settings: DistilSettings, first: int) -> Iterator[_StepExamples]:
    """Yields the examples of each step from ``first`` on, and skips those of the steps before."""
    batch, count = settings.optimiser.batch, settings.wholes
    crops = itertools.islice(shuffled(examples.crops, settings.seed), first * batch, None)
    wholes = itertools.islice(shuffled(examples.wholes, settings.seed + 1), first * count, None)
    for _ in range(first, settings.optimiser.steps):
        yield _StepExamples(
            crops=list(itertools.islice(crops, batch)),
            wholes=list(itertools.islice(wholes, count)) if examples.wholes else [],
        )


def _predicted(allocator: Allocator, batch: ExampleBatch, settings: DistilSettings) -> tuple[Tensor, Tensor]:
    """Predicts maps (N, K, H/16, W/16) and levels (N, K) from the features of a batch."""
    features = batch.features
    for bottleneck in allocator.network.trunk.bottles[settings.kept :]:
        features = bottleneck(features)
    features = F.dropout2d(features, settings.dropout)
    return allocator.network.finish(features, batch.statistics, batch.qp)


def _mean_of_present(values: Tensor, present: Tensor) -> Tensor:
    """The mean of values (N, K) where present (N, K) is 1."""
    return (values * present).sum() / present.sum().clamp_min(1)


def _loss(allocator: Allocator, batch: ExampleBatch, scales: LabelScales, settings: DistilSettings) -> Tensor:
    """The mean Huber loss of the maps plus a share of that of the levels, both in spreads of the labels."""
    maps, levels = _predicted(allocator, batch, settings)
    map_error = (maps - batch.maps) / scales.maps[:, None, None]
    map_loss = F.huber_loss(map_error, torch.zeros_like(map_error), reduction="none", delta=_HUBER)
    level_error = levels - (batch.levels - scales.level_mean) / scales.level_spread
    level_loss = F.huber_loss(level_error, torch.zeros_like(level_error), reduction="none")
    of_maps = _mean_of_present(map_loss.mean((2, 3)), batch.present)
    return of_maps + _LEVEL_SHARE * _mean_of_present(level_loss, batch.present)


def _build_optimiser(allocator: Allocator, settings: DistilSettings) -> torch.optim.AdamW:
    """Freezes the trunk's first layers and builds AdamW, where the trunk's rest has a rate of its own."""
    trunk = allocator.network.trunk
    for frozen in [trunk.first, *trunk.bottles[: settings.kept]]:
        frozen.requires_grad_(False)
    of_trunk = {id(p) for p in trunk.parameters()}
    upper = [p for p in trunk.parameters() if p.requires_grad]
    body = [p for p in allocator.parameters() if id(p) not in of_trunk]
    groups = [{"params": upper, "rate": settings.trunk_rate}, {"params": body, "rate": 1.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], weight_decay=settings.optimiser.weight_decay
    )


@torch.no_grad()
def _denormalise_level(allocator: Allocator, scales: LabelScales) -> None:
    """Makes the level's layer, trained on standardised levels, give log2 of the importance itself."""
    layer = allocator.network.level
    layer.weight.mul_(scales.level_spread[:, None])
    layer.bias.mul_(scales.level_spread).add_(scales.level_mean)


@torch.no_grad()
def _normalise_level(allocator: Allocator, scales: LabelScales) -> None:
    """Undoes :func:`_denormalise_level`, for heads that have learned their level before."""
    layer = allocator.network.level
    learned = layer.weight.abs().sum(1) > 0
    weight = layer.weight / scales.level_spread[:, None]
    bias = (layer.bias - scales.level_mean) / scales.level_spread
    layer.weight.copy_(torch.where(learned[:, None], weight, layer.weight))
    layer.bias.copy_(torch.where(learned, bias, layer.bias))


def _new_allocator(labels: Sequence[Labelled], seed: int) -> Allocator:
    """Builds an allocator with pretrained weights in its trunk, and a head for each network of the labels."""
    torch.manual_seed(seed)
    allocator = Allocator(heads=tuple(sorted({name for one in labels for name in one.logarithms})))
    load_trunk(allocator.network.trunk)
    return allocator


def _begun(allocator: Allocator, scales: LabelScales, settings: DistilSettings) -> TrainingState:
    """The state before the first step; the allocator as it is now becomes a condition of going on."""
    conditions = conditions_of(settings, allocator)
    _normalise_level(allocator, scales)
    optimiser = _build_optimiser(allocator.train(), settings)
    return TrainingState(
        allocator, averaged(allocator, settings.optimiser.ema), optimiser, scales, conditions
    )


def distil(
    labels: Path,
    out: Path,
    settings: DistilSettings | None = None,
    *,
    allocator: Allocator | None = None,
    progress: Progress = no_progress,
) -> Path:
    """Trains an allocator on the labels of a folder.

    It goes on from ``last.ckpt`` in ``out`` if that is there, and then ends with the weights of a training
    that was never stopped.

    Args:
        labels: folder of :func:`npp.training.allocator_labels.label_photos`.
        out: folder for checkpoints and the weights.
        settings: see :class:`DistilSettings`.
        allocator: the network to start with; by default one whose trunk has EfficientNet-Lite0's weights,
            with a head for each network that labelled a picture.
        progress: called with the number of steps that were done since the last call.

    Returns:
        Path of the averaged weights, for :meth:`npp.Allocator.load`.

    Raises:
        ValueError: no labels, or none of some head; a checkpoint of another training.
    """
    settings = settings or DistilSettings()
    pictures = read_shards(labels)
    if allocator is None:
        allocator = _new_allocator(pictures, settings.seed)
    examples = ExampleSet(pictures, allocator, settings.kept)
    checkpoint = out / _CHECKPOINT
    begun = _begun(allocator, examples.scales(), settings)
    first, state = begun.restored(checkpoint, settings.optimiser.steps)
    if 0 < first == settings.optimiser.steps:
        warnings.warn(
            f"{checkpoint} has done all {first} steps: nothing is left to train, and labels that have "
            "come since teach nothing",
            stacklevel=2,
        )
    progress(first)
    for step, seen in enumerate(_examples_by_step(examples, settings, first), start=first):
        _train_step(state, examples, seen, settings, step)
        progress(1)
        if (step + 1) % settings.checkpoint_every == 0:
            state.store(checkpoint, step + 1)
    return _save_average(state, out)


def _train_step(
    state: TrainingState, examples: ExampleSet, seen: _StepExamples, settings: DistilSettings, step: int
) -> None:
    """Takes one step, as the module describes it: gradients, the optimiser, the average.

    Args:
        state: changed in place.
        examples: makes the batches.
        seen: the examples of the step.
        settings: those of the training.
        step: its number, which dropout's random numbers and the learning rate follow from.
    """
    torch.manual_seed(settings.seed + step)  # so that a run can be continued exactly
    _backward(state, examples.batch(seen.crops), 1.0, settings)
    for whole in seen.wholes:
        _backward(state, examples.batch([whole]), _WHOLE_SHARE, settings)
    _optimise(state.allocator, state.optimiser, settings.optimiser, step)
    state.mean.update_parameters(state.allocator)


def _backward(state: TrainingState, batch: ExampleBatch, share: float, settings: DistilSettings) -> None:
    """Adds the gradient of a share of a batch's loss to the parameters' gradients."""
    loss = share * _loss(state.allocator, batch, state.scales, settings)
    loss.backward()  # type: ignore[no-untyped-call]


def _optimise(
    allocator: Allocator, optimiser: torch.optim.Optimizer, config: OptimiserConfig, step: int
) -> None:
    """Clips the gradients, moves the weights at the step's learning rate, and clears the gradients."""
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * rate_factor(step, config) * group["rate"]
    if config.clip:
        nn.utils.clip_grad_norm_(allocator.parameters(), config.clip)
    optimiser.step()
    optimiser.zero_grad()


def _save_average(state: TrainingState, out: Path) -> Path:
    """Writes the averaged weights; they cannot be trained further afterwards."""
    allocator: Any = state.mean.module.eval()
    _denormalise_level(allocator, state.scales)
    out.mkdir(parents=True, exist_ok=True)
    path = out / _WEIGHTS
    allocator.save(path)
    return path


def check_folder(out: Path, settings: DistilSettings, allocator: Allocator) -> None:
    """Raises ValueError unless :func:`distil` can begin or go on in a folder; called before labels are made.

    The message says in what the training of a checkpoint there was another one.
    """
    read_checkpoint(out / _CHECKPOINT, settings.optimiser.steps, conditions_of(settings, allocator))
