"""Networks whose answers are random, or depend on what else is in the batch, are warned of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from npp.evaluation.coding import Batch
from npp.evaluation.judges import NETWORK_ERRORS, Judge

_RELATIVE = 1e-3  # difference of two values of a score that may be rounding
# The same as a part of what a strong blur costs: scores of clean photos are 0 or 1, and say nothing of what a
# change is worth. Batches of another size are computed by other kernels, those of GPUs with fewer digits.
_OF_A_BLUR_AGAIN, _OF_A_BLUR_ALONE = 1e-3, 1e-2
_LEAST = 1e-6  # difference of scores that hardly change under a blur
_BLUR = 8  # pixels of each side that become one

Scores = Mapping[str, Tensor]


class _Difference(NamedTuple):
    score: str
    photo: int
    before: float
    after: float


def warn_of_instability(network: Judge, batch: Batch, alone: Batch, scores: Scores) -> None:
    """Warns once where a network says something else of the same photos when it is asked again, or alone.

    Costs three looks at these few photos.

    Args:
        network: the judge.
        batch: the first photos.
        alone: the first of them.
        scores: (N,) by name, of these photos as they are.
    """
    images, targets = batch.images, batch.targets(network)
    task = batch.task(network)
    blurred = task.scores(_blurred(images), targets)
    costs = {
        name: float((blurred[name] - values).abs().nan_to_num().max()) for name, values in scores.items()
    }
    again = task.scores(images, targets)
    if (found := _difference(scores, again, costs, _OF_A_BLUR_AGAIN)) is not None:
        warnings.warn(
            f"network {network.label}: the score {found.score!r} of {batch.names[found.photo]} is "
            f"{found.before:.4g} and, asked again, {found.after:.4g}: its answers are random, and so is "
            "what is measured",
            stacklevel=3,
        )
        return
    if len(batch) == 1:
        return
    try:
        first = alone.task(network).scores(images[:1], targets[:1])
    except torch.cuda.OutOfMemoryError:
        raise
    except NETWORK_ERRORS:  # of one that takes batches of its own size alone
        return
    among = {name: values[:1] for name, values in scores.items()}
    if (found := _difference(among, first, costs, _OF_A_BLUR_ALONE)) is not None:
        warnings.warn(
            f"network {network.label}: the score {found.score!r} of {batch.names[0]} is {found.before:.4g} "
            f"beside another photo and {found.after:.4g} alone: its answers depend on what else is in a "
            "batch (batch: 1 shows it each photo alone)",
            stacklevel=3,
        )


def _blurred(images: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) without what is finer than 8 pixels."""
    height, width = images.shape[-2:]
    small = F.adaptive_avg_pool2d(images, (max(1, height // _BLUR), max(1, width // _BLUR)))
    return F.interpolate(small, size=(height, width))


def _difference(
    before: Scores, after: Scores, costs: Mapping[str, float], share: float
) -> _Difference | None:
    """The largest difference of the first score that differs by more than rounding."""
    for name, values in before.items():
        one, other = values.double().cpu(), after[name].double().cpu()
        tolerance = _RELATIVE * torch.maximum(one.abs(), other.abs()) + max(_LEAST, share * costs[name])
        excess = (one - other).abs() - tolerance
        photo = int(excess.argmax())
        if excess[photo] > 0:
            return _Difference(name, photo, float(one[photo]), float(other[photo]))
    return None
