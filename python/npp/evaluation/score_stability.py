"""Warnings about networks whose outputs are random or depend on the other pictures of the batch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from npp.evaluation.coding import Batch
from npp.evaluation.judges import Judge

_RELATIVE = 1e-3  # relative difference of two values of a score that may be rounding
# The same as a part of what a strong blur costs: scores of clean photos are 0 or 1, and say nothing of what a
# change is worth. Batches of another size are computed by other kernels, those of GPUs with fewer digits.
_OF_A_BLUR_AGAIN, _OF_A_BLUR_ALONE = 1e-3, 1e-2
_LEAST = 1e-6  # difference of scores that hardly change under a blur
_BLUR = 8  # pixels of each side that become one

Scores = Mapping[str, Tensor]


class ChangedScore(NamedTuple):
    """Two values of one score that should be equal.

    Attributes:
        score: name of the score.
        photo: index of the photo.
        before, after: the two values.
    """

    score: str
    photo: int
    before: float
    after: float


def warn_of_instability(network: Judge, batch: Batch, alone: Batch, scores: Scores) -> None:
    """Warns if a network's scores of the same photos change when they are repeated, or for a photo alone.

    This takes three more runs on these few photos. Errors of the network in them are ignored, for they need
    not occur in the evaluation.

    Args:
        network: the judge.
        batch: the first photos.
        alone: the first of them.
        scores: (N,) by name, of these photos as they are.
    """
    try:
        words = _instability(network, batch, alone, scores)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception:  # the network may raise anything
        return
    if words is not None:
        warnings.warn(f"network {network.label}: {words}", stacklevel=3)


def _instability(network: Judge, batch: Batch, alone: Batch, scores: Scores) -> str | None:
    """The difference in words; ``None`` if there is none."""
    images, targets = batch.images, batch.targets(network)
    task = batch.task(network)
    of_blurred, again = task.scores(blurred(images), targets), task.scores(images, targets)
    if (difference := changed_answer(scores, again, of_blurred)) is not None:
        return (
            f"the score {difference.score!r} of {batch.names[difference.photo]} is {difference.before:.4g} "
            f"and, asked again, {difference.after:.4g}: its answers are random, and so is what is measured"
        )
    if len(batch) == 1:
        return None
    first = alone.task(network).scores(images[:1], targets[:1])
    costs = _costs(scores, of_blurred)
    among = {name: values[:1] for name, values in scores.items()}
    if (difference := _difference(among, first, costs, _OF_A_BLUR_ALONE)) is not None:
        return (
            f"the score {difference.score!r} of {batch.names[0]} is {difference.before:.4g} beside another "
            f"photo and {difference.after:.4g} alone: its answers depend on what else is in a batch "
            "(batch: 1 shows it each photo alone)"
        )
    return None


def changed_answer(before: Scores, again: Scores, of_blurred: Scores) -> ChangedScore | None:
    """The largest difference between two outputs for the same pictures; ``None`` if it is rounding.

    Args:
        before, again: scores (N,) by name.
        of_blurred: scores of the :func:`blurred` pictures, which give the scale of a change.
    """
    return _difference(before, again, _costs(before, of_blurred), _OF_A_BLUR_AGAIN)


def _costs(scores: Scores, of_blurred: Scores) -> dict[str, float]:
    """The largest change of each score under a strong blur."""
    return {
        name: float((of_blurred[name] - values).abs().nan_to_num().max())
        for name, values in scores.items()
        if name in of_blurred
    }


def blurred(images: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) without details finer than 8 pixels."""
    height, width = images.shape[-2:]
    small = F.adaptive_avg_pool2d(images, (max(1, height // _BLUR), max(1, width // _BLUR)))
    return F.interpolate(small, size=(height, width))


def _difference(
    before: Scores, after: Scores, costs: Mapping[str, float], share: float
) -> ChangedScore | None:
    """The largest difference of the first score that differs by more than rounding."""
    for name in [name for name in before if name in after and name in costs]:
        first, second = before[name].double().cpu(), after[name].double().cpu()
        tolerance = _RELATIVE * torch.maximum(first.abs(), second.abs()) + max(_LEAST, share * costs[name])
        excess = (first - second).abs() - tolerance
        photo = int(excess.argmax())
        if excess[photo] > 0:
            return ChangedScore(name, photo, float(first[photo]), float(second[photo]))
    return None
