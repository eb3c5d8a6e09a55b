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
    """Intersection and union of the predicted and the true pixels of each class.

    Attributes:
        right: (pictures, K) number of pixels in the intersection of truth and prediction.
        either: (pictures, K) number of pixels in their union.
    """

    right: Integers
    either: Integers

    @property
    def values(self) -> Mapping[str, float]:
        """``true_miou`` of all pictures, the mean over the classes that occur, from 0 to 1."""
        every = np.ones((len(self.right), 1))
        return {"true_miou": float(self.resampled("true_miou", every)[0])}

    def resampled(self, name: str, weights: Floats) -> Floats:
        """(R,) a value in resamplings.

        Args:
            name: one of ``values``.
            weights: (pictures, R) how often each resampling drew each picture, up to a factor.
        """
        if name != "true_miou":
            raise ValueError(f"name must be true_miou, not {name!r}")
        right, either = self.right.T @ weights, self.either.T @ weights
        occurs = either > 0
        ious = right / np.where(occurs, either, 1)
        mean: Floats = ious.sum(axis=0) / np.maximum(occurs.sum(axis=0), 1)
        return mean

    def packed(self) -> dict[str, Any]:
        """The overlaps as a dict of tensors, for the store of parts."""
        return {"right": torch.from_numpy(self.right), "either": torch.from_numpy(self.either)}

    @classmethod
    def unpacked(cls, stored: Mapping[str, Any]) -> ClassOverlaps:
        """The overlaps from the dict of :meth:`packed`."""
        return cls(stored["right"].numpy(), stored["either"].numpy())


def _counts(labels: Tensor, classes: int) -> Integers:
    counts: Integers = torch.bincount(labels, minlength=classes).numpy()
    return counts


class ClassCounter:
    """Compares maps of classes pixel by pixel, and keeps only the counts.

    Args:
        ignored: true class of pixels that do not count, or ``None``.
    """

    def __init__(self, ignored: int | None) -> None:
        self._ignored = ignored
        self._right: list[Integers] = []
        self._either: list[Integers] = []

    def add(self, predictions: Sequence[Tensor], truths: Sequence[Tensor]) -> None:
        """Adds pictures: maps (H, W) of integers."""
        for prediction, truth in zip(predictions, truths, strict=True):
            predicted, true = prediction.flatten().cpu().long(), truth.flatten().cpu().long()
            counts = (
                torch.ones_like(true, dtype=torch.bool) if self._ignored is None else true != self._ignored
            )
            predicted, true = predicted[counts], true[counts]
            classes = 1 + int(torch.cat([predicted, true]).max()) if len(true) else 1
            right = _counts(predicted[predicted == true], classes)
            self._right.append(right)
            self._either.append(_counts(predicted, classes) + _counts(true, classes) - right)

    def result(self) -> ClassOverlaps:
        """The overlaps of all pictures so far."""
        return ClassOverlaps(_table(self._right), _table(self._either))


def _table(rows: Sequence[Integers]) -> Integers:
    """A table (pictures, K), padded with zeros for classes that a picture does not have."""
    table = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for counts, row in zip(table, rows, strict=True):
        counts[: len(row)] = row
    return table
