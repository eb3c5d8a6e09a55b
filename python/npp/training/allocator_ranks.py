"""How well an allocator ranks the blocks of pictures, against the importance that networks give."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from npp.allocation import Allocator
from npp.allocation.maps import smoothed
from npp.training.allocator_labels import SIGMA, Labelled


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
            correlation = _spearman(map_, smoothed(values[None], SIGMA)[0].flatten())
            if correlation is not None:
                found.setdefault(name, []).append(correlation)
    return {name: sum(values) / len(values) for name, values in found.items()}
