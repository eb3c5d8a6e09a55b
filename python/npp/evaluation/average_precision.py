"""COCO's average precision of real boxes, of all pictures and of resamplings of them.

pycocotools matches the boxes and computes the reported values. The matches are kept for resamplings, in
which a picture that is drawn twice counts twice.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.extras import require
from npp.pchip import Floats
from npp.tasks.boxes import without_negative_sides

_THRESHOLDS = 10  # of IoU: 0.5, 0.55, ..., 0.95
_RECALLS = 100  # steps of recall from 0 to 1 at which precision is read
_MOST = 100  # detections of a picture
_TINY = 1e-9

#: The IoU thresholds over which each value is the mean.
IOU_ROWS = {"ap": slice(None), "ap_50": slice(0, 1), "ap_75": slice(5, 6)}

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CategoryMatches:
    """Detections of one category in all pictures, sorted by score, the highest first.

    Attributes:
        pictures: (D,) index of the picture of each detection.
        hits: (10, D) whether it matches a true box at each IoU threshold.
        true: (pictures,) number of true boxes.
    """

    pictures: Integers
    hits: Bools
    true: Integers


@dataclass(frozen=True)
class BoxMatches:
    """Matches of all categories that have true boxes.

    Attributes:
        categories: the matches, one for each category.
        values: ``ap``, ``ap_50`` and ``ap_75`` of all pictures, as pycocotools computes them.
    """

    categories: tuple[CategoryMatches, ...]
    values: Mapping[str, float]

    def resampled(self, name: str, weights: Floats) -> Floats:
        """(R,) a value in resamplings.

        Args:
            name: one of ``values``.
            weights: (pictures, R) how often each resampling drew each picture, up to a factor.
        """
        precisions = np.stack([_precision(category, IOU_ROWS[name], weights) for category in self.categories])
        precisions[~np.isfinite(precisions)] = np.nan
        defined = np.isfinite(precisions).sum(axis=0)
        sums: Floats = np.nansum(precisions, axis=0) / np.maximum(defined, 1)
        return sums

    def packed(self) -> dict[str, Any]:
        """The matches as a dict of numbers and tensors, for the store of parts."""
        return {
            "values": dict(self.values),
            "categories": [
                [
                    torch.from_numpy(array)
                    for array in (category.pictures, np.packbits(category.hits, axis=1), category.true)
                ]
                for category in self.categories
            ],
        }

    @classmethod
    def unpacked(cls, stored: Mapping[str, Any]) -> BoxMatches:
        """The matches from the dict of :meth:`packed`."""
        categories = []
        for pictures, bits, true in stored["categories"]:
            hits = np.unpackbits(bits.numpy(), axis=1, count=len(pictures)).astype(bool)
            categories.append(CategoryMatches(pictures.numpy(), hits, true.numpy()))
        return cls(tuple(categories), dict(stored["values"]))


def _precision(matches: CategoryMatches, rows: slice, weights: Floats) -> Floats:
    """Interpolated precision (R,), the mean over IoUs and recalls; not finite without true boxes."""
    true = matches.true @ weights
    detection_weights = weights[matches.pictures].astype(np.float32)
    total = np.zeros(weights.shape[1])
    hits = matches.hits[rows]
    detections = np.cumsum(detection_weights, axis=0)
    for is_hit in hits:
        true_positives = np.cumsum(np.where(is_hit[:, None], detection_weights, 0), axis=0)
        if not len(true_positives):
            continue
        precision = true_positives / np.maximum(detections, _TINY)
        interpolated = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = np.floor(_RECALLS * true_positives / true + 1e-4) + 1
        steps = np.diff(reached, axis=0, prepend=0)
        total += (steps * interpolated).sum(axis=0) / (_RECALLS + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # NaN if a resampling drew no true box of the category.
        mean: Floats = total / len(hits) / (true > 0)
    return mean


def _dataset(
    predictions: Sequence[Mapping[str, Tensor]], truths: Sequence[Mapping[str, Tensor]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """True boxes and detections in COCO's form; pictures are numbered from 1."""
    true: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for image, (prediction, truth) in enumerate(zip(predictions, truths, strict=True), 1):
        for entry, rows in ((truth, true), (prediction, detections)):
            boxes = without_negative_sides(entry["boxes"].double().cpu())
            sizes = boxes[:, 2:] - boxes[:, :2]
            scores = entry["scores"].tolist() if rows is detections else [1.0] * len(boxes)
            for corner, size, label, score in zip(
                boxes[:, :2].tolist(), sizes.tolist(), entry["labels"].tolist(), scores, strict=True
            ):
                rows.append(
                    {
                        "id": len(rows) + 1,
                        "image_id": image,
                        "category_id": int(label),
                        "bbox": [*corner, *size],
                        "area": size[0] * size[1],
                        "iscrowd": 0,
                        "score": score,
                    }
                )
    categories = sorted({annotation["category_id"] for annotation in true})
    images = [{"id": i + 1} for i in range(len(predictions))]
    return {
        "images": images,
        "annotations": true,
        "categories": [{"id": category} for category in categories],
    }, detections


def _category(images: Sequence[Any], count: int) -> CategoryMatches:
    """Matches of one category from those of pycocotools, a dict or ``None`` for each picture."""
    scores: list[Floats] = []
    pictures: list[int] = []
    hits: list[Bools] = []
    true = np.zeros(count, np.int64)
    for picture, evaluation in enumerate(images):
        if evaluation is None:
            continue
        true[picture] = len(evaluation["gtIds"])
        scores.append(np.asarray(evaluation["dtScores"], np.float64))
        hits.append(np.asarray(evaluation["dtMatches"]).reshape(_THRESHOLDS, -1) > 0)
        pictures += [picture] * len(evaluation["dtScores"])
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    return CategoryMatches(np.array(pictures, np.int64)[order], np.concatenate(hits, axis=1)[:, order], true)


def match_boxes(
    predictions: Sequence[Mapping[str, Tensor]], truths: Sequence[Mapping[str, Tensor]]
) -> BoxMatches:
    """Matches detections with true boxes.

    Args:
        predictions: ``boxes`` (K, 4) x1, y1, x2, y2, ``labels``, ``scores`` of each picture.
        truths: ``boxes``, ``labels`` of each picture.

    Raises:
        ModuleNotFoundError: pycocotools is missing.
        ValueError: there is no true box at all.
    """
    coco = require("pycocotools.coco", "average precision").COCO
    evaluator = require("pycocotools.cocoeval", "average precision").COCOeval
    dataset, detections = _dataset(predictions, truths)
    if not dataset["annotations"]:
        raise ValueError("annotations have no box in any of the photos")
    with contextlib.redirect_stdout(io.StringIO()):
        true, detected = coco(), coco()
        true.dataset = dataset
        detected.dataset = {**dataset, "annotations": detections}
        true.createIndex()
        detected.createIndex()
        run = evaluator(true, detected, "bbox")
        run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], run.params.areaRngLbl[:1]
        run.params.maxDets = [_MOST]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., 0, 0]  # IoUs, recalls, categories
    values = {name: float(precision[rows].mean()) for name, rows in IOU_ROWS.items()}
    count = len(predictions)
    rows = [run.evalImgs[i * count : (i + 1) * count] for i in range(len(run.params.catIds))]
    return BoxMatches(tuple(_category(row, count) for row in rows), values)


class BoxMatcher:
    """Collects detections and true boxes of all pictures, which are matched together at the end."""

    def __init__(self) -> None:
        self._predictions: list[Mapping[str, Tensor]] = []
        self._truths: list[Mapping[str, Tensor]] = []

    def add(
        self, predictions: Sequence[Mapping[str, Tensor]], truths: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Adds pictures, see :func:`match_boxes`."""
        self._predictions += predictions
        self._truths += truths

    def result(self) -> BoxMatches:
        """The matches of all pictures."""
        return match_boxes(self._predictions, self._truths)


def check_package() -> None:
    """Raises ModuleNotFoundError unless pycocotools is installed."""
    require("pycocotools.cocoeval", "average precision")
