"""True boxes for detectors, from annotations in COCO's JSON."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.evaluation.average_precision import IOU_ROWS, BoxMatcher, BoxMatches, check_package
from npp.evaluation.by_photo import ByPhoto
from npp.evaluation.coco_boxes import TrueBoxes, read_boxes
from npp.evaluation.judges import Judge
from npp.evaluation.label_places import check_places, check_size
from npp.evaluation.region_files import check_not_empty, errors_with_key
from npp.evaluation.truth import MatchedTruth, NamedClass
from npp.photos.loading import photo_size
from npp.tasks.detection import Detection
from npp.tasks.region_task import Region

_KEY = "annotations"


class BoxTruth(MatchedTruth):
    """Boxes of every photo in the annotations.

    Args:
        by_photo: the boxes of each photo.
        category_ids: ids of all categories, in the order of the file.
    """

    setting = _KEY
    task = Detection
    has_scores = False

    def __init__(self, by_photo: ByPhoto[TrueBoxes], category_ids: tuple[int, ...]) -> None:
        self.by_photo, self.category_ids = by_photo, category_ids

    def metrics(self) -> tuple[str, ...]:
        """Names of the average precisions.

        Raises:
            ModuleNotFoundError: pycocotools is missing.
        """
        check_package()
        return tuple(IOU_ROWS)

    def matcher(self, judge: Judge) -> BoxMatcher:
        """A matcher of boxes by their overlap."""
        return BoxMatcher()

    def unpacked(self, stored: Mapping[str, Any]) -> BoxMatches:
        """The matches of boxes from their form in the store."""
        return BoxMatches.unpacked(stored)

    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> Mapping[str, NamedClass]:
        """Raises ValueError unless boxes lie in their photos, and there are some if a metric needs them.

        Boxes that a photo has twice raise a warning if a metric needs boxes.

        Returns:
            The highest label of the photos by judge, for the metric counts boxes of classes that a detector
            lacks as not found.

        Raises:
            ValueError: a box has no pixel of its photo, annotations are of a photo of another size, or there
                is no box at all.
        """
        for photo in photos if self else ():
            name, listed, size = self.by_photo.photo_name(photo), self.by_photo[photo], photo_size(photo)
            if listed.size is not None:
                check_size(_KEY, name, listed.size, size)
            check_places(_KEY, name, (Region(*box) for box in listed.boxes.tolist()), size)
        measured = [judge for judge in judges if judge.spec.metrics]
        if not measured:
            return {}
        with_boxes = [photo for photo in photos if len(self.by_photo[photo].boxes)]
        if not with_boxes:
            raise ValueError(f"{_KEY} have no box in any of the {len(photos)} photos")
        self._warn_of_repetitions(with_boxes)
        return {judge.label: max(self._highest(judge, photo) for photo in with_boxes) for judge in measured}

    def _highest(self, judge: Judge, photo: Path) -> NamedClass:
        """The highest label of a photo that has boxes."""
        (target,) = self.targets(judge, [photo])
        return NamedClass(int(target["labels"].max()), self.by_photo.photo_name(photo))

    def _warn_of_repetitions(self, photos: Sequence[Path]) -> None:
        repeated = [
            (photo, box) for photo in photos for box, count in self._counts(photo).items() if count > 1
        ]
        if repeated:
            photo, (left, top, right, bottom, category) = repeated[0]
            others = f", and {len(repeated) - 1} others" if len(repeated) > 1 else ""
            warnings.warn(
                f"{_KEY} list a box of {self.by_photo.photo_name(photo)} more than once, that of category "
                f"{category:g} from {left:g}, {top:g} to {right:g}, {bottom:g}{others}: who finds it once "
                "has missed the other",
                stacklevel=3,
            )

    def _counts(self, photo: Path) -> Counter[tuple[float, ...]]:
        """How often each box of a photo is listed, by its corners and category."""
        listed = self.by_photo[photo]
        pairs = zip(listed.boxes.tolist(), listed.categories.tolist(), strict=True)
        return Counter((*box, category) for box, category in pairs)

    def key(self, photos: Sequence[Path]) -> list[Any]:
        """Boxes and ids of their categories for each photo, as a JSON value."""
        listed = [self.by_photo[photo] for photo in photos] if self else []
        return [[boxes.boxes.tolist(), boxes.categories.tolist()] for boxes in listed]

    def targets(self, judge: Judge, photos: Sequence[Path]) -> list[dict[str, Tensor]]:
        """``boxes``, and ``labels`` as the judge's network has them."""
        return [self._target(judge, self.by_photo[photo]) for photo in photos]

    def _target(self, judge: Judge, listed: TrueBoxes) -> dict[str, Tensor]:
        labels = listed.categories
        if not judge.says_category_ids:
            indices = {category: index for index, category in enumerate(self.category_ids)}
            labels = torch.tensor([indices[int(category)] for category in labels], dtype=torch.int64)
        return {"boxes": listed.boxes, "labels": labels}


def read_box_truth(file: str | None, folder: str) -> BoxTruth:
    """The boxes of a file in COCO's format; empty if no file is given.

    Args:
        file: the annotations.
        folder: folder of the photos.

    Raises:
        ValueError: the file cannot be read, has another format or lists no photo; the message begins with the
            key.
    """
    if file is None:
        return BoxTruth(ByPhoto({}), ())
    path = Path(file)
    with errors_with_key(_KEY, path):
        boxes, category_ids = read_boxes(path)
    check_not_empty(_KEY, path, boxes)
    return BoxTruth(ByPhoto(boxes, folder, source=f"{_KEY} ({path})"), category_ids)
