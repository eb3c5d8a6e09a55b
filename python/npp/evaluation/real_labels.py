"""What people say is in the photos: boxes in COCO's JSON, tables of classes and texts, maps of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from npp.evaluation.average_precision import IOU_ROWS, BoxMatcher, BoxMatches, check_package
from npp.evaluation.by_photo import ByPhoto, listed_name, name_told
from npp.evaluation.class_overlaps import ClassCounter, ClassOverlaps
from npp.evaluation.coco_boxes import TrueBoxes, check_size, read_boxes
from npp.evaluation.judges import Judge
from npp.evaluation.label_places import check_places
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.mask_files import ClassMaps, find_masks
from npp.evaluation.region_files import LineError, check_once, read_table, regions_listed, table_error
from npp.photos.loading import photo_size
from npp.tasks import Task
from npp.tasks.classification import Classification
from npp.tasks.detection import Detection
from npp.tasks.recognition import Recognition
from npp.tasks.region_task import Region, RegionTask
from npp.tasks.segmentation import IGNORE, Segmentation

#: What real labels say of all pictures together, in a form that can be drawn anew.
Matches = BoxMatches | ClassOverlaps
Matcher = BoxMatcher | ClassCounter
#: What scores against real texts are called where those against the clean output have the same name.
TRUE_NAMES = {"word_accuracy": "exact_match", "character_error_rate": "true_character_error_rate"}


class NamedClass(NamedTuple):
    """A class, and the photo that has it."""

    number: int
    photo: str


class MasksByPhoto(ByPhoto[Tensor]):
    """Maps of classes (H, W) int64 of photos."""

    def __init__(self, maps: ClassMaps, folder: str = "") -> None:
        super().__init__(maps, folder, endings=False)
        self._maps = maps

    def key(self, path: Path) -> list[Any]:
        """A JSON value that says what is right for a photo."""
        return self._maps.key(self.name(path))


@dataclass(frozen=True)
class RealLabels:
    """Of each photo; empty where nothing is given.

    Attributes:
        boxes: of every photo that the annotations list.
        category_ids: of all categories, in the file's order.
        classes: index of the class.
        regions: what readers look at.
        texts: what is written there.
        masks: maps of classes.
        folder: of the photos, for messages.
    """

    boxes: ByPhoto[TrueBoxes]
    category_ids: tuple[int, ...]
    classes: ByPhoto[int]
    regions: ByPhoto[Region]
    texts: ByPhoto[str]
    masks: MasksByPhoto
    folder: str

    def task(self, judge: Judge, paths: Sequence[Path]) -> Task:
        """A judge's task for these photos: a reader is given the region of each alone."""
        if self.regions and isinstance(judge.task, Recognition):
            return RegionTask(judge.task, [self.regions[path] for path in paths])
        return judge.task

    def fit(self, judge: Judge) -> bool:
        """Whether a judge's answers can be compared with them."""
        return bool(self._answers(judge))

    def _answers(self, judge: Judge) -> ByPhoto[Any]:
        """What is said of photos that a judge of this kind can say, too."""
        by_kind: dict[type[Task], ByPhoto[Any]] = {
            Detection: self.boxes,
            Recognition: self.texts,
            Segmentation: self.masks,
            Classification: self.classes,
        }
        return next((said for kind, said in by_kind.items() if isinstance(judge.task, kind)), _NOTHING)

    def metrics(self, judge: Judge) -> tuple[str, ...]:
        """Names of what is measured of all pictures together, in place of the task's own metrics.

        Raises:
            ModuleNotFoundError: pycocotools is missing, which average precision needs.
        """
        if not self.fit(judge) or not judge.spec.metrics:
            return ()
        if isinstance(judge.task, Detection):
            check_package()
            return tuple(IOU_ROWS)
        return ("true_miou",) if isinstance(judge.task, Segmentation) else ()

    def has_scores(self, judge: Judge) -> bool:
        """Whether each picture has scores; those of boxes are of all pictures together."""
        return self.fit(judge) and not isinstance(judge.task, Detection)

    def matcher(self, judge: Judge) -> Matcher:
        """Compares a judge's predictions with what :meth:`targets` gives."""
        if isinstance(judge.task, Segmentation):
            return ClassCounter(judge.task.ignore_index)
        return BoxMatcher()

    def has(self, path: Path) -> bool:
        """Whether everything that is given lists this photo."""
        return all(path in one for one in self._given())

    def _given(self) -> list[ByPhoto[Any]]:
        known: tuple[ByPhoto[Any], ...] = (self.boxes, self.classes, self.regions, self.texts, self.masks)
        return [one for one in known if one]

    def said(self, path: Path) -> str:
        """A photo for messages: its path below the folder."""
        return name_told(self.folder, path)

    def check_names(self, paths: Sequence[Path]) -> None:
        """That it is clear which of these photos each name means.

        Raises:
            ValueError: it is not; the message names photos and names.
        """
        for one in self._given():
            one.check_clear(paths)

    def check(self, judges: Sequence[Judge], paths: Sequence[Path]) -> dict[str, NamedClass]:
        """Looks through all that is said of these photos, before anything is measured.

        Returns:
            The highest class that a judge needs, by its label; none for judges that need no classes.

        Raises:
            ValueError: there is no box at all, a text has a character that a reader lacks, a box or a region
                has no pixel of its photo, annotations are of a photo of another size, or a map cannot be
                read, holds colours, has another size than its photo or no pixel that counts.
        """
        if self.boxes or self.regions:
            for path in paths:
                self._check_places(path)
        fitting = [judge for judge in judges if self.fit(judge)]
        if any(isinstance(judge.task, Detection) and judge.spec.metrics for judge in fitting) and not any(
            len(self.boxes[path].boxes) for path in paths
        ):
            raise ValueError(f"annotations have no box in any of the {len(paths)} photos")
        highest: dict[str, NamedClass] = {}
        for judge in fitting:
            if isinstance(judge.task, Classification):
                highest[judge.label] = max(NamedClass(self.classes[path], self.said(path)) for path in paths)
            elif isinstance(judge.task, Recognition):
                self._check_texts(judge.task, judge.label, paths)
        segmenters = [judge for judge in fitting if isinstance(judge.task, Segmentation)]
        return highest | self._highest_in_masks(segmenters, paths if self.masks else ())

    def _highest_in_masks(self, judges: Sequence[Judge], paths: Sequence[Path]) -> dict[str, NamedClass]:
        """The highest class of the maps by the label of each segmenter; every map is looked at once."""
        highest: dict[str, NamedClass] = {}
        for path in paths:
            found = self._checked_mask(path)
            for judge in judges:
                known = highest.get(judge.label, NamedClass(0, self.said(path)))
                highest[judge.label] = max(known, _highest_class(judge, found, self.masks.name(path)))
        return highest

    def _check_places(self, path: Path) -> None:
        """That boxes and the region of a photo lie in it."""
        size = photo_size(path)
        if self.boxes:
            found = self.boxes[path]
            check_size(self.said(path), found.size, size)
            check_places("annotations", self.said(path), (Region(*box) for box in found.boxes.tolist()), size)
        if self.regions:
            check_places("regions", self.said(path), [self.regions[path]], size)

    def _check_texts(self, reader: Recognition, label: str, paths: Sequence[Path]) -> None:
        """That a reader has all characters of the texts."""
        for path in paths:
            try:
                reader.alphabet.encode(self.texts[path])
            except ValueError as error:
                raise ValueError(
                    f"regions: the text of {self.said(path)} is not one for {label}: {error}"
                ) from None

    def _checked_mask(self, path: Path) -> Tensor:
        """The map of a photo, which has its size."""
        height, width = photo_size(path)
        found = self.masks[path]
        if (shape := tuple(found.shape)) != (height, width):
            raise ValueError(
                f"masks: {self.masks.name(path)} must be {height}x{width} as its photo, not {shape}"
            )
        return found

    def targets(self, judge: Judge, paths: Sequence[Path]) -> list[Any]:
        """What is right for a judge: class indices, texts, or ``boxes`` with the network's own ``labels``."""
        found = [self._answers(judge)[path] for path in paths]
        return [self._boxes(judge, one) for one in found] if isinstance(judge.task, Detection) else found

    def _boxes(self, judge: Judge, found: TrueBoxes) -> dict[str, Tensor]:
        labels = found.categories
        if not judge.says_category_ids:
            places = {category: place for place, category in enumerate(self.category_ids)}
            labels = torch.tensor([places[int(one)] for one in labels], dtype=torch.int64)
        return {"boxes": found.boxes, "labels": labels}

    def key(self, paths: Sequence[Path]) -> Any:
        """A JSON value that says what is right for these photos."""
        boxes = [self.boxes[path] for path in paths] if self.boxes else []
        listed = [[one.boxes.tolist(), one.categories.tolist()] for one in boxes]
        found = [listed, [self.classes.get(path) for path in paths], list(self.category_ids)]
        if self.regions:
            found.append([[list(self.regions[path]), self.texts.get(path)] for path in paths])
        if self.masks:
            found.append([self.masks.key(path) for path in paths])
        return found

    def scores(self, judge: Judge, images: Tensor, paths: Sequence[Path]) -> dict[str, Tensor]:
        """A judge's scores of pictures (N, 3, H, W) of these photos against what is right, (N,) by name."""
        found = self.task(judge, paths).scores(images, self.targets(judge, paths))
        return {TRUE_NAMES.get(name, name): values for name, values in found.items()}


_NOTHING: ByPhoto[Any] = ByPhoto({})
#: Nothing is known.
UNLABELLED = RealLabels(
    ByPhoto({}), (), ByPhoto({}), ByPhoto({}), ByPhoto({}), MasksByPhoto(ClassMaps({})), ""
)


def _highest_class(judge: Judge, mask: Tensor, name: str) -> NamedClass:
    """Of the pixels of a map that count for a segmenter."""
    counted = mask[mask != getattr(judge.task, "ignore_index", None)]
    if not len(counted):
        raise ValueError(f"masks: {name} must have a pixel that counts for {judge.label}")
    if int(counted.min()) < 0:
        raise ValueError(f"masks: {name} must have numbers from 0 on, not {int(counted.min())}")
    return NamedClass(int(counted.max()), name)


def _class_index(row: Mapping[str, str], line: int) -> int:
    given = row["label"]
    try:
        found = int(given)
    except ValueError:
        found = -1
    if found < 0:
        raise LineError(f"line {line}: label must be a class index from 0, not {given!r}")
    return found


def _read_classes(path: Path) -> dict[str, int]:
    rows = read_table(path, ("file", "label"))
    check_once(listed_name(row["file"]) for _, row in rows)
    return {listed_name(row["file"]): _class_index(row, line) for line, row in rows}


def _read_texts(file: str) -> tuple[dict[str, Region], dict[str, str]]:
    """Regions by the photo's listed name, and the texts that there are."""
    found = regions_listed(file)
    several = [name for name, rows in found.items() if len(rows) > 1]
    if several:
        raise ValueError(f"regions: {file} must have one line for each photo, not more for {several[0]}")
    regions = {name: rows[0].region for name, rows in found.items()}
    texts = {name: rows[0].text for name, rows in found.items()}
    return regions, {name: text for name, text in texts.items() if text}


@contextmanager
def _errors_with_key(key: str, path: Path) -> Iterator[None]:
    """What is wrong with a file is told as a ValueError that begins with the key."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise table_error(key, path, error) from error


def _check_some(key: str, path: Path, found: Mapping[str, Any]) -> None:
    if not found:
        raise ValueError(f"{key}: {path} lists none")


def _given_boxes(given: str | None) -> tuple[dict[str, TrueBoxes], tuple[int, ...]]:
    """Boxes by listed name and ids of categories; none where no file is given."""
    if given is None:
        return {}, ()
    path = Path(given)
    with _errors_with_key("annotations", path):
        boxes, ids = read_boxes(path)
    _check_some("annotations", path, boxes)
    return boxes, ids


def _given_classes(given: str | None) -> dict[str, int]:
    """Classes by listed name; none where no file is given."""
    if given is None:
        return {}
    path = Path(given)
    with _errors_with_key("labels", path):
        classes = _read_classes(path)
    _check_some("labels", path, classes)
    return classes


def read_labels(photos: LabelledPhotos) -> RealLabels:
    """Reads the files that a set of photos names.

    Raises:
        ValueError: a file cannot be read or is of another form; the message begins with the key.
    """
    boxes, ids = _given_boxes(photos.annotations)
    classes = _given_classes(photos.labels)
    regions, texts = _read_texts(photos.regions) if photos.regions is not None else ({}, {})
    masks = ClassMaps({})
    if photos.masks is not None:
        others = IGNORE if photos.mask_others is None else photos.mask_others
        masks = find_masks(photos.masks, photos.mask_classes, others)
    folder = photos.folder
    return RealLabels(
        ByPhoto(boxes, folder),
        ids,
        ByPhoto(classes, folder),
        ByPhoto(regions, folder),
        ByPhoto(texts, folder),
        MasksByPhoto(masks, folder),
        folder,
    )


def unpacked(judge: Judge, stored: Mapping[str, Any]) -> Matches:
    """What a :data:`Matcher` gave, from its ``packed`` form."""
    kind = ClassOverlaps if isinstance(judge.task, Segmentation) else BoxMatches
    return kind.unpacked(stored)
