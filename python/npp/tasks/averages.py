"""A metric that is the mean of values a picture has by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from npp.tasks.optional import require

PerPicture = Callable[[Any, Any], Mapping[str, float]]


class AverageMetric:
    """Means over pictures, as torchmetrics computes them.

    Args:
        measure: values by name for one prediction and its target.
    """

    def __init__(self, measure: PerPicture) -> None:
        self._measure = measure
        self._mean = require("torchmetrics", "a metric").MeanMetric
        self._means: dict[str, Any] = {}

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds pictures."""
        for prediction, target in zip(predictions, targets, strict=True):
            for name, value in self._measure(prediction, target).items():
                self._means.setdefault(name, self._mean()).update(value)

    def compute(self) -> dict[str, float]:
        """Means by name; empty before the first picture."""
        return {name: float(mean.compute()) for name, mean in self._means.items()}
