"""COCO's mean average precision."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from npp.tasks.optional import require

_BACKENDS = ("pycocotools", "faster_coco_eval")
_NAMES = ("map", "map_50", "map_75")


def _backend() -> str:
    """The evaluation code that is installed."""
    for name in _BACKENDS:
        if importlib.util.find_spec(name) is not None:
            return name
    raise ModuleNotFoundError(
        "mean average precision needs the package pycocotools: pip install 'npp[tasks]'", name="pycocotools"
    )


class AveragePrecision:
    """torchmetrics' MeanAveragePrecision, which needs torchvision and pycocotools or faster-coco-eval.

    Predictions: boxes (K, 4) x1, y1, x2, y2 in pixels, labels (K,), scores (K,). Targets: boxes, labels.
    """

    def __init__(self) -> None:
        require("torchvision", "mean average precision")
        kind = require("torchmetrics.detection", "mean average precision").MeanAveragePrecision
        self._metric: Any = kind(backend=_backend())
        self._metric.warn_on_many_detections = False

    def update(
        self, predictions: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Adds pictures."""

        def chosen(entry: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
            return {name: torch.as_tensor(entry[name]).detach().cpu() for name in names}

        self._metric.update(
            [chosen(entry, ("boxes", "labels", "scores")) for entry in predictions],
            [chosen(entry, ("boxes", "labels")) for entry in targets],
        )

    def compute(self) -> dict[str, float]:
        """``{"map", "map_50", "map_75"}``; NaN while there is no true box."""
        values = self._metric.compute()
        return {name: float(values[name]) if values[name] >= 0 else math.nan for name in _NAMES}
