"""Makes batches of labelled pictures to train an allocator on: features of its frozen layers, and targets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from npp.allocation import Allocator
from npp.allocation.allocator_network import block_statistics
from npp.allocation.maps import centred, smoothed
from npp.allocation.trunk import Trunk
from npp.codec.qp_maps import MAP_BLOCK
from npp.training.label_store import SIGMA, Labelled


class ExampleBatch(NamedTuple):
    """Pictures of one size.

    Attributes:
        features: (N, C, h, w) behind the frozen layers of the trunk.
        statistics: (N, 6, H/16, W/16), see :func:`~npp.allocation.allocator_network.block_statistics`.
        qp: (N,) at which they were labelled.
        maps: (N, K, H/16, W/16) target of each head: log2 importance, smoothed, with a mean of 0.
        levels: (N, K) target of each head: log2 of the sum of the importance.
        present: (N, K) 1 where a network labelled the picture, else 0, and targets of 0.
    """

    features: Tensor
    statistics: Tensor
    qp: Tensor
    maps: Tensor
    levels: Tensor
    present: Tensor


class Example(NamedTuple):
    """The index of a picture, and whether it is mirrored."""

    picture: int
    mirrored: bool


class LabelScales(NamedTuple):
    """Statistics (K,) of each head over all labels: spread of the maps, mean and spread of the levels."""

    maps: Tensor
    level_mean: Tensor
    level_spread: Tensor


def _frozen_features(trunk: Trunk, frozen: int, x: Tensor) -> Tensor:
    """Features of pictures (N, 3, H, W) behind the trunk's first layer and so many of its bottlenecks."""
    y = trunk.enter(x.contiguous(memory_format=torch.channels_last))
    for bottleneck in trunk.bottles[:frozen]:
        y = bottleneck(y)
    return y


class ExampleSet:
    """All labelled pictures and their mirror images.

    The frozen layers' features of a picture are computed when they are first needed and then kept, in half
    precision to save memory.

    Args:
        labels: the pictures.
        allocator: its heads have the targets, and its trunk makes the features.
        frozen: the number of the trunk's bottlenecks that are not trained.

    Attributes:
        crops: the indices of the pictures of the commonest size, which can be batched.
        wholes: the indices of the others.
    """

    def __init__(self, labels: Sequence[Labelled], allocator: Allocator, frozen: int) -> None:
        self._labels = labels
        self._heads = allocator.settings.heads
        self._trunk = allocator.network.trunk
        self._frozen = frozen
        self._cache: dict[Example, ExampleBatch] = {}
        sizes = [one.x.shape for one in labels]
        commonest = max(set(sizes), key=sizes.count)
        self.crops = [index for index, size in enumerate(sizes) if size == commonest]
        self.wholes = [index for index, size in enumerate(sizes) if size != commonest]

    def batch(self, examples: Sequence[Example]) -> ExampleBatch:
        """Joins examples of one size to a batch, with features in single precision."""
        batches = [self._cached(example) for example in examples]
        joined = ExampleBatch(*(torch.cat(columns) for columns in zip(*batches, strict=True)))
        return joined._replace(features=joined.features.float())

    def _cached(self, example: Example) -> ExampleBatch:
        if example not in self._cache:
            self._cache[example] = self._computed(example)
        return self._cache[example]

    @torch.no_grad()
    def _computed(self, example: Example) -> ExampleBatch:
        """Makes a batch of one, with features in half precision."""
        label = self._labels[example.picture]
        x = label.picture()
        maps, levels, present = self._targets(label)
        if example.mirrored:
            x, maps = x.flip(-1), maps.flip(-1)
        features = _frozen_features(self._trunk, self._frozen, x).half()
        qp = torch.tensor([float(label.qp)])
        return ExampleBatch(features, block_statistics(x), qp, maps[None], levels[None], present[None])

    def _targets(self, label: Labelled) -> tuple[Tensor, Tensor, Tensor]:
        """The maps (K, H/16, W/16), levels (K,) and which are present (K,), as in :class:`ExampleBatch`."""
        rows, columns = (side // MAP_BLOCK for side in label.x.shape[:2])
        maps = torch.zeros(len(self._heads), rows, columns)
        levels, present = torch.zeros(len(self._heads)), torch.zeros(len(self._heads))
        for k, name in enumerate(self._heads):
            if name in label.logarithms:
                logarithms = torch.from_numpy(label.logarithms[name])
                maps[k], present[k] = centred(smoothed(logarithms[None], SIGMA))[0], 1
                levels[k] = torch.logsumexp(logarithms.flatten() * np.log(2), 0) / np.log(2)
        return maps, levels, present

    def scales(self) -> LabelScales:
        """The means and spreads of the targets.

        Raises:
            ValueError: no picture has a label of some head.
        """
        targets = [self._targets(label) for label in self._labels]
        spreads, levels = [], []
        for k, name in enumerate(self._heads):
            labelled = [(maps[k], level[k]) for maps, level, present in targets if present[k]]
            if not labelled:
                raise ValueError(f"labels: none of {len(targets)} pictures has one of the head {name!r}")
            spreads.append(
                torch.stack([target.std(correction=0) for target, _ in labelled]).mean().clamp_min(1e-3)
            )
            levels.append(torch.stack([level for _, level in labelled]))
        means = torch.stack([level.mean() for level in levels])
        widths = torch.stack([level.std(correction=0).clamp_min(1e-3) for level in levels])
        return LabelScales(torch.stack(spreads), means, widths)


def shuffled(indices: Sequence[int], seed: int) -> Iterator[Example]:
    """Yields endless epochs, each in a new random order; every picture is mirrored half of the times."""
    for epoch in itertools.count():
        rng = np.random.default_rng([seed, epoch])
        for place in rng.permutation(len(indices)):
            yield Example(indices[int(place)], bool(rng.random() < 0.5))
