"""Mean intersection over union against real maps of classes, of all pictures and of resamplings of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.pchip import Floats

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassOverlaps:
    """How many pixels of each class are found, right and true.

    Attributes:
        right: (pictures, K) pixels that have a class and were given it.
        either: (pictures, K) pixels that have a class, were given it, or both.
    """

    right: Integers
    either: Integers

    @property
    def values(self) -> Mapping[str, float]:
        """``true_miou`` of all pictures, the mean over the classes that occur; part of 1."""
        every = np.ones((len(self.right), 1))
        return {"true_miou": float(self.resampled("true_miou", every)[0])}

    def resampled(self, name: str, weights: Floats) -> Floats:
        """(R,) a value in resamplings.

        Args:
            name: one of ``values``.
            weights: (pictures, R) how often each resampling drew each picture, up to a factor.
        """
        if name not in ("true_miou",):
            raise ValueError(f"name must be true_miou, not {name!r}")
        right, either = self.right.T @ weights, self.either.T @ weights
        occurs = either > 0
        parts = right / np.where(occurs, either, 1)
        mean: Floats = parts.sum(axis=0) / np.maximum(occurs.sum(axis=0), 1)
        return mean

    def packed(self) -> dict[str, Any]:
        """For the store of finished parts."""
        return {"right": torch.from_numpy(self.right), "either": torch.from_numpy(self.either)}

    @classmethod
    def unpacked(cls, stored: Mapping[str, Any]) -> ClassOverlaps:
        """From what :meth:`packed` gave."""
        return cls(stored["right"].numpy(), stored["either"].numpy())


def _counts(labels: Tensor, classes: int) -> Integers:
    counts: Integers = torch.bincount(labels, minlength=classes).numpy()
    return counts


def count_classes(
    predictions: Sequence[Tensor], truths: Sequence[Tensor], ignored: int | None
) -> ClassOverlaps:
    """Compares maps of classes, pixel by pixel.

    Args:
        predictions: (H, W) integers of each picture.
        truths: the same.
        ignored: the truth of pixels that do not count, or ``None``.
    """
    pairs = []
    for found, true in zip(predictions, truths, strict=True):
        found, true = found.flatten().cpu().long(), true.flatten().cpu().long()
        counts = torch.ones_like(true, dtype=torch.bool) if ignored is None else true != ignored
        pairs.append((found[counts], true[counts]))
    classes = 1 + max(int(part.max()) for pair in pairs for part in pair if len(part))
    right = [_counts(found[found == true], classes) for found, true in pairs]
    sums = [_counts(found, classes) + _counts(true, classes) for found, true in pairs]
    return ClassOverlaps(np.stack(right), np.stack(sums) - np.stack(right))
