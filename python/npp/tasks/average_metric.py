"""A metric that averages measures of single pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from npp.extras import require
from npp.tasks.frozen import plain_torch
from npp.tasks.task import check_predictions

PerPicture = Callable[[Any, Any], Mapping[str, float]]


class AverageMetric:
    """Means over pictures, as torchmetrics computes them.

    Args:
        measure: returns values by name for one prediction and its target.
    """

    def __init__(self, measure: PerPicture) -> None:
        self._measure = measure
        self._mean = require("torchmetrics", "a metric").MeanMetric
        self._means: dict[str, Any] = {}

    def _new_mean(self) -> Any:
        """A mean that sums in float32, whatever torch's default dtype is."""
        with plain_torch():
            return self._mean().set_dtype(torch.float32)

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds predictions and targets of pictures."""
        check_predictions(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            for name, value in self._measure(prediction, target).items():
                if name not in self._means:
                    self._means[name] = self._new_mean()
                self._means[name].update(value)

    def compute(self) -> dict[str, float]:
        """Means by name; empty before the first picture."""
        return {name: float(mean.compute()) for name, mean in self._means.items()}
