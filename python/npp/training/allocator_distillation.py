"""An allocator learns the importance that the gradients of several networks give."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npp.allocation import Allocator
from npp.allocation.allocator_network import Trunk, block_statistics
from npp.allocation.maps import centred, smoothed
from npp.config.digests import hash_state
from npp.config.typed import plain
from npp.files import atomic_write
from npp.progress import Progress, untold
from npp.training.allocator_config import DistilSettings
from npp.training.allocator_labels import Labelled, read_labels
from npp.training.allocator_start import load_trunk
from npp.training.schedule import averaged, rate_factor
from npp.training.train_config import OptimiserConfig

_WEIGHTS = "allocator.safetensors"
_CHECKPOINT = "last.ckpt"
_START = "weights to start from"
_LEVEL_SHARE = 0.1  # of the picture's own sensitivity in the loss
_WHOLE_SHARE = 0.25  # of a picture that is seen whole, against a batch of crops
_HUBER = 1.5  # in spreads of the maps: labels of one draw are noisy
_SIGMA = 0.7  # blocks; what npp.qp_map smooths maps with


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


class _Scales(NamedTuple):
    """Of each head over all labels: spread of the maps, mean and spread of the levels, (K,) each."""

    maps: Tensor
    level_mean: Tensor
    level_spread: Tensor


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
        rows, columns = (side // 16 for side in one.x.shape[:2])
        maps = torch.zeros(len(self._heads), rows, columns)
        levels, present = torch.zeros(len(self._heads)), torch.zeros(len(self._heads))
        for k, name in enumerate(self._heads):
            if name in one.logarithms:
                found = torch.from_numpy(one.logarithms[name])
                maps[k], present[k] = centred(smoothed(found[None], _SIGMA))[0], 1
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

    def scales(self) -> _Scales:
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
        return _Scales(torch.stack(spreads), means, widths)


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


def _loss(allocator: Allocator, batch: _Batch, scales: _Scales, settings: DistilSettings) -> Tensor:
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
def _in_units(allocator: Allocator, scales: _Scales) -> None:
    """The level's layer, learned in spreads from the mean, now gives log2 of the importance itself."""
    layer = allocator.network.level
    layer.weight.mul_(scales.level_spread[:, None])
    layer.bias.mul_(scales.level_spread).add_(scales.level_mean)


@torch.no_grad()
def _out_of_units(allocator: Allocator, scales: _Scales) -> None:
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
    conditions = _conditions(settings, allocator)
    _out_of_units(allocator, scales)
    optimiser = _optimiser(allocator.train(), settings)
    mean = averaged(allocator, settings.optimiser.ema)
    learner = _Learner(allocator, mean, optimiser, scales, conditions)
    first, scales = learner.restore(_read(out / _CHECKPOINT, settings, conditions))
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


def _finished(averaged_allocator: Any, scales: _Scales, out: Path) -> Path:
    result: Allocator = averaged_allocator.eval()
    _in_units(result, scales)
    out.mkdir(parents=True, exist_ok=True)
    path = out / _WEIGHTS
    result.save(path)
    return path


class _Learner(NamedTuple):
    """Everything that a training goes on with."""

    allocator: Allocator
    mean: nn.Module
    optimiser: torch.optim.Optimizer
    scales: _Scales
    conditions: Mapping[str, Any]

    def store(self, path: Path, step: int) -> None:
        state = {
            "step": step,
            "conditions": self.conditions,
            "allocator": self.allocator.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scales": self.scales._asdict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, force=True) as file:
            torch.save(state, file)

    def restore(self, state: Mapping[str, Any] | None) -> tuple[int, _Scales]:
        """The step that a checkpoint had come to, 0 where there is none, and the scales that it learns in.

        These are those of the labels that it began with: others may have come since.
        """
        if state is None:
            return 0, self.scales
        self.allocator.load_state_dict(state["allocator"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        return int(state["step"]), _Scales(**state["scales"]) if "scales" in state else self.scales


def _conditions(settings: DistilSettings, allocator: Allocator) -> dict[str, Any]:
    """What must be as it was where a training goes on; steps may become more."""
    found = {**plain(settings), "allocator": allocator.settings.as_mapping()}
    optimiser = {name: value for name, value in found.pop("optimiser").items() if name != "steps"}
    return {**found, **optimiser, _START: hash_state(allocator)[:16]}


def _read(path: Path, settings: DistilSettings, now: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A checkpoint that a training under these conditions can go on from, or ``None`` where there is none."""
    if not path.is_file():
        return None
    try:
        state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise  # which is not the file's fault
    except Exception as error:  # of damaged files torch says anything, from KeyError to UnpicklingError
        raise ValueError(f"{path} is no checkpoint, or a damaged one; remove it: {error}") from None
    for name, before in state.get("conditions", now).items():
        if name == _START and now[name] != before:
            raise ValueError(f"{path} is of a training with other {name}; take another out, or remove it")
        if now[name] != before:
            raise ValueError(f"{path} is of a training with {name} {before!r}, not {now[name]!r}")
    step, steps = int(state["step"]), settings.optimiser.steps
    if step > steps:
        raise ValueError(f"{path} has done {step} steps, more than the {steps} of the whole run")
    return state


def check_folder(out: Path, settings: DistilSettings, allocator: Allocator) -> None:
    """Looks whether :func:`distil` can begin or go on in a folder, before labels are made for it.

    Raises:
        ValueError: it has a checkpoint of another training; the message says in what.
    """
    _read(out / _CHECKPOINT, settings, _conditions(settings, allocator))


def _mean_ranks(values: Tensor) -> Tensor:
    """Ranks (n,) of values (n,) from 1 on; those that are equal share the mean of theirs."""
    _, places, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ranks: Tensor = (counts.cumsum(0) - (counts - 1) / 2).double()[places]
    return ranks


def _spearman(map_: Tensor, wanted: Tensor) -> float | None:
    """Of two maps (n,): 0 where the first ranks nothing, ``None`` where there is nothing to rank."""
    ranks = torch.stack([_mean_ranks(map_), _mean_ranks(wanted)])
    if (wanted == wanted[0]).all():
        return None
    return 0.0 if (map_ == map_[0]).all() else float(torch.corrcoef(ranks)[0, 1])


def rank_correlation(allocator: Allocator, labels: Sequence[Labelled]) -> dict[str, float]:
    """Spearman's correlation of the map with each network's own, within pictures, the mean over them.

    Blocks of one value share the mean of their ranks. A map that is the same everywhere ranks nothing and
    counts as 0; pictures that are so to a network are left out of its mean.

    Args:
        allocator: in evaluation mode.
        labels: pictures that it was not trained on.

    Returns:
        By network, and ``"mean"`` for the mean over networks of their logarithms.
    """
    found: dict[str, list[float]] = {}
    for one in labels:
        with torch.no_grad():
            map_ = -allocator(one.picture(), float(one.qp))[0].flatten()
        wanted = {name: torch.from_numpy(values) for name, values in one.logarithms.items()}
        wanted["mean"] = torch.stack([values - values.mean() for values in wanted.values()]).mean(0)
        for name, values in wanted.items():
            correlation = _spearman(map_, smoothed(values[None], _SIGMA)[0].flatten())
            if correlation is not None:
                found.setdefault(name, []).append(correlation)
    return {name: sum(values) / len(values) for name, values in found.items()}
