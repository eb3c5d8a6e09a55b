"""What people say that is in the photos: boxes from COCO's JSON, classes from a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.config.yaml_files import expand
from npp.evaluation.judges import Judge
from npp.photos.photo_set import PhotoSet
from npp.tasks.classification import Classification
from npp.tasks.detection import Detection

#: Qualities of real boxes, of all pictures together.
TRUE_METRICS = ("ap", "ap_50", "ap_75")


@dataclass(frozen=True)
class LabelledPhotos(PhotoSet):
    """Photos, and where it is written what is in them.

    Attributes:
        annotations: a file in COCO's format: boxes by the photo's file name. Needs ``mode: full``.
        labels: a CSV file with the columns ``file`` and ``label``, the index of the class.
    """

    annotations: str | None = None
    labels: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.annotations is not None and self.mode != "full":
            raise ValueError(f"annotations need mode: full, for boxes are not cut; it is {self.mode}")


@dataclass(frozen=True)
class TrueBoxes:
    """One photo's.

    Attributes:
        boxes: (K, 4) x1, y1, x2, y2 in pixels.
        categories: (K,) ids as the file has them.
    """

    boxes: Tensor
    categories: Tensor


@dataclass(frozen=True)
class RealLabels:
    """By file name, without folders; empty where nothing is given.

    Attributes:
        boxes: of every photo that the annotations list.
        category_ids: of all categories, in the file's order.
        classes: index of the class.
    """

    boxes: Mapping[str, TrueBoxes]
    category_ids: tuple[int, ...]
    classes: Mapping[str, int]

    def fit(self, judge: Judge) -> bool:
        """Whether a judge's answers can be compared with them."""
        if isinstance(judge.task, Detection):
            return bool(self.boxes)
        return isinstance(judge.task, Classification) and bool(self.classes)

    def missing(self, paths: Sequence[Path]) -> list[str]:
        """Names of photos that a given file does not list."""
        given: list[Mapping[str, Any]] = [one for one in (self.boxes, self.classes) if one]
        return [path.name for path in paths if any(path.name not in one for one in given)]

    def targets(self, judge: Judge, paths: Sequence[Path]) -> list[Any]:
        """What is right for a judge: class indices, or ``boxes`` with the network's own ``labels``."""
        if isinstance(judge.task, Classification):
            return [self.classes[path.name] for path in paths]
        return [self._boxes(judge, self.boxes[path.name]) for path in paths]

    def _boxes(self, judge: Judge, found: TrueBoxes) -> dict[str, Tensor]:
        labels = found.categories
        if not judge.spec.says_category_ids:
            places = {category: place for place, category in enumerate(self.category_ids)}
            labels = torch.tensor([places[int(one)] for one in labels], dtype=torch.int64)
        return {"boxes": found.boxes, "labels": labels}

    def key(self, paths: Sequence[Path]) -> Any:
        """A JSON value that says what is right for these photos."""
        boxes = [self.boxes[path.name] for path in paths] if self.boxes else []
        listed = [[one.boxes.tolist(), one.categories.tolist()] for one in boxes]
        return [listed, [self.classes.get(path.name) for path in paths], list(self.category_ids)]


#: Nothing is known.
UNLABELLED = RealLabels({}, (), {})


def _read_boxes(path: Path) -> tuple[dict[str, TrueBoxes], tuple[int, ...]]:
    """Boxes by file name; crowds are left out."""
    content = json.loads(path.read_text(encoding="utf-8"))
    names = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    rows: dict[str, list[tuple[list[float], int]]] = {name: [] for name in names.values()}
    for one in content["annotations"]:
        if not one.get("iscrowd"):
            left, top, width, height = map(float, one["bbox"])
            box = [left, top, left + width, top + height]
            rows[names[one["image_id"]]].append((box, int(one["category_id"])))
    found = {
        name: TrueBoxes(
            torch.tensor([box for box, _ in listed], dtype=torch.float32).reshape(-1, 4),
            torch.tensor([category for _, category in listed], dtype=torch.int64),
        )
        for name, listed in rows.items()
    }
    return found, tuple(int(one["id"]) for one in content["categories"])


def _read_classes(path: Path) -> dict[str, int]:
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["file"]).name: int(row["label"]) for row in csv.DictReader(file)}


def read_labels(photos: LabelledPhotos) -> RealLabels:
    """Reads the files that a set of photos names.

    Raises:
        ValueError: a file cannot be read or is of another form; the message begins with the key.
    """
    boxes: dict[str, TrueBoxes] = {}
    ids: tuple[int, ...] = ()
    classes: dict[str, int] = {}
    for key, given in (("annotations", photos.annotations), ("labels", photos.labels)):
        if given is None:
            continue
        path = Path(expand(given))
        try:
            if key == "annotations":
                boxes, ids = _read_boxes(path)
            else:
                classes = _read_classes(path)
        except OSError as error:
            raise ValueError(f"{key}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{key}: {path} is not of that form: {error!r}") from error
    return RealLabels(boxes, ids, classes)
