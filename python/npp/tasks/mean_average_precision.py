"""Mean average precision of detections, as defined by COCO."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from npp.extras import MissingPackageError, require
from npp.tasks.boxes import is_clean_output, with_area, without_negative_sides
from npp.tasks.task import check_predictions
from npp.torch_defaults import cpu_by_default

_BACKENDS = ("pycocotools", "faster_coco_eval")
_NAMES = ("map", "map_50", "map_75")


def _backend() -> str:
    """The evaluation code that is installed."""
    for name in _BACKENDS:
        if importlib.util.find_spec(name) is not None:
            return name
    raise MissingPackageError("mean average precision", _BACKENDS[0])


class AveragePrecision:
    """torchmetrics' MeanAveragePrecision, which needs torchvision and pycocotools or faster-coco-eval.

    Predictions: boxes (K, 4) x1, y1, x2, y2 in pixels, labels (K,), scores (K,). Targets: boxes, labels.
    Targets with scores are a detector's own output on the clean picture: boxes without area count on neither
    side. With real labels, a detection without area is a wrong one.
    """

    def __init__(self) -> None:
        require("torchvision", "mean average precision")
        kind = require("torchmetrics.detection", "mean average precision").MeanAveragePrecision
        with cpu_by_default():
            self._metric: Any = kind(backend=_backend())
        self._metric.warn_on_many_detections = False

    def update(
        self, predictions: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Adds predictions and targets of pictures."""
        check_predictions(predictions, targets)

        def on_cpu(entry: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
            return {name: torch.as_tensor(entry[name], device="cpu").detach() for name in names}

        detections = [on_cpu(entry, ("boxes", "labels", "scores")) for entry in predictions]
        for entry in detections:
            entry["boxes"] = without_negative_sides(entry["boxes"])
        truth = [on_cpu(entry, ("boxes", "labels")) for entry in targets]
        for index, target in enumerate(targets):
            if is_clean_output(target):
                detections[index] = with_area(detections[index], ("boxes", "labels", "scores"))
                truth[index] = with_area(truth[index], ("boxes", "labels"))
        with cpu_by_default():
            self._metric.update(detections, truth)

    def compute(self) -> dict[str, float]:
        """``{"map", "map_50", "map_75"}``; NaN as long as there is no true box."""
        with cpu_by_default():
            values = self._metric.compute()
        return {name: float(values[name]) if values[name] >= 0 else math.nan for name in _NAMES}
