"""Measures how well an allocator ranks the blocks of pictures, against the importance of networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from npp.allocation import Allocator
from npp.allocation.maps import smoothed
from npp.extras import require
from npp.training.label_store import SIGMA, Labelled


def _spearman(predicted: Tensor, importance: Tensor) -> float | None:
    """Spearman's correlation of two maps (n,).

    It is 0 where the first is the same everywhere, and ``None`` where the second is.
    """
    if (importance == importance[0]).all():
        return None
    regression = require("torchmetrics.functional.regression", "how well blocks are ranked")
    return float(regression.spearman_corrcoef(predicted.double(), importance.double()))


def rank_correlation(allocator: Allocator, labels: Sequence[Labelled]) -> dict[str, float]:
    """Spearman's correlation of an allocator's map with each network's importance of the blocks.

    It is taken within each picture, and then the mean over the pictures. Blocks of one value share the mean
    of their ranks. A map that is the same everywhere ranks nothing and counts as 0; pictures whose blocks
    are all alike to a network are left out of its mean.

    Args:
        allocator: in evaluation mode.
        labels: pictures that it was not trained on.

    Returns:
        The correlation by network, -1 to 1; under ``"mean"`` that with the mean of the networks' logarithms.
    """
    correlations: dict[str, list[float]] = {}
    for label in labels:
        with torch.no_grad():
            predicted = -allocator(label.picture(), float(label.qp))[0].flatten()
        importance = {name: torch.from_numpy(values) for name, values in label.logarithms.items()}
        importance["mean"] = torch.stack([values - values.mean() for values in importance.values()]).mean(0)
        for name, values in importance.items():
            correlation = _spearman(predicted, smoothed(values[None], SIGMA)[0].flatten())
            if correlation is not None:
                correlations.setdefault(name, []).append(correlation)
    return {name: sum(values) / len(values) for name, values in correlations.items()}
