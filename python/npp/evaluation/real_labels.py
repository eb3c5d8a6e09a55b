"""Real labels of the photos, for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from npp.evaluation.box_truth import BoxTruth, read_box_truth
from npp.evaluation.by_photo import GO_BY, ByPhoto
from npp.evaluation.class_truth import ClassTruth, read_class_truth
from npp.evaluation.judges import Judge
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.mask_truth import MaskTruth, read_mask_truth
from npp.evaluation.text_truth import TextTruth, read_text_truth
from npp.evaluation.truth import MatchedTruth, NamedClass, Truth
from npp.photos.finding import name_below
from npp.photos.photo_set import PhotoSet
from npp.tasks import Task

_NAMED = 5  # photos in a message
#: Names of scores against real texts whose names against the clean output are the same.
TRUE_NAMES = {"word_accuracy": "exact_match", "character_error_rate": "true_character_error_rate"}


@dataclass(frozen=True)
class RealLabels:
    """The truth for each kind of task; empty if no file is given."""

    boxes: BoxTruth
    classes: ClassTruth
    texts: TextTruth
    masks: MaskTruth

    @property
    def _truths(self) -> tuple[Truth, ...]:
        return self.boxes, self.classes, self.texts, self.masks

    @property
    def _tables(self) -> list[ByPhoto[Any]]:
        """The tables of all files."""
        return [table for truth in self._truths for table in truth.tables if table]

    def truth(self, judge: Judge) -> Truth | None:
        """The truth for a judge's kind of task; ``None`` if there is none."""
        fitting = (truth for truth in self._truths if truth and isinstance(judge.task, truth.task))
        return next(fitting, None)

    def matched(self, judge: Judge) -> MatchedTruth | None:
        """The truth for a judge's metrics of all pictures together; ``None`` if there is none."""
        truth = self.truth(judge)
        return truth if isinstance(truth, MatchedTruth) and judge.spec.metrics else None

    def task(self, judge: Judge, photos: Sequence[Path]) -> Task:
        """A judge's task for these photos; a text reader only gets the region of each."""
        return self.texts.cropped(judge.task, photos)

    def has(self, photo: Path) -> bool:
        """Whether every file that is given lists this photo."""
        return not self.lacking(photo)

    def lacking(self, photo: Path) -> list[ByPhoto[Any]]:
        """The tables of given files that do not list this photo."""
        return [table for table in self._tables if photo not in table]

    def unused(self, judges: Sequence[Judge]) -> list[Truth]:
        """The truths of given files that none of these judges needs."""
        given = (truth for truth in self._truths if any(truth.tables))
        return [truth for truth in given if not any(map(truth.helps, judges))]

    def check_names(self, photos: Sequence[Path]) -> None:
        """Raises ValueError unless each name in the files means one of these photos alone.

        Raises:
            ValueError: a name is ambiguous; the message names photos and names.
        """
        for table in self._tables:
            table.check_clear(photos)

    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> dict[str, NamedClass]:
        """Checks all labels of these photos before anything is measured.

        Returns:
            The highest class in the labels, by label of the judge, for judges that need classes.

        Raises:
            ValueError: there is no box at all, a text has a character that a reader lacks, a box or a region
                has no pixel of its photo, annotations are of a photo of another size, or a map cannot be
                read, holds colours, has another size than its photo or no pixel that counts.
        """
        highest: dict[str, NamedClass] = {}
        for truth in self._truths:
            highest |= truth.check([judge for judge in judges if self.truth(judge) is truth], photos)
        return highest

    def key(self, photos: Sequence[Path]) -> list[Any]:
        """A JSON value that determines the labels of these photos.

        It is part of the keys of stored measurements: in another form all would be measured again.
        """
        key = [self.boxes.key(photos), self.classes.key(photos), list(self.boxes.category_ids)]
        if self.texts.regions:
            key.append(self.texts.key(photos))
        if self.masks:
            key.append(self.masks.key(photos))
        return key

    def scores(self, judge: Judge, images: Tensor, photos: Sequence[Path]) -> dict[str, Tensor]:
        """A judge's scores (N,) by name, for pictures (N, 3, H, W) of these photos, against the labels.

        There are none if there are no labels for its kind of task, or only metrics of all pictures together.

        Raises:
            LabelError: a text is longer than a reader can output for its region.
        """
        truth = self.truth(judge)
        if truth is None or not truth.has_scores:
            return {}
        scores = truth.scores(judge, self.task(judge, photos), images, photos)
        return {TRUE_NAMES.get(name, name): values for name, values in scores.items()}


def read_labels(photos: LabelledPhotos) -> RealLabels:
    """Reads the files with the real labels of a set of photos.

    Raises:
        ValueError: a file cannot be read or has another format; the message begins with the key.
    """
    folder = photos.folder
    return RealLabels(
        read_box_truth(photos.annotations, folder),
        read_class_truth(photos.labels, folder),
        read_text_truth(photos.regions, folder),
        read_mask_truth(photos.masks, photos.mask_classes, photos.mask_others, folder),
    )


def photos_with_labels(photos: PhotoSet, labels: RealLabels) -> list[Path]:
    """The photos that can be read, with ``unlabelled: skip`` only those that have all labels.

    Raises:
        ValueError: real labels are given and a photo has none, or several.
    """
    if isinstance(photos, LabelledPhotos) and photos.unlabelled == "skip":
        paths = _listed(photos, labels)
    else:
        paths = photos.readable_paths()
    labels.check_names(paths)
    if missing := [path for path in paths if not labels.has(path)]:
        names = ", ".join(name_below(photos.folder, path) for path in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        reason = _not_listed(missing[0], photos, labels)
        raise ValueError(f"folder has photos without real labels: {names}{more}. {reason}")
    return paths


def _listed(photos: PhotoSet, labels: RealLabels) -> list[Path]:
    """The photos that have all labels and can be read.

    Raises:
        ValueError: there are no such photos.
    """
    is_listed: dict[Path, bool] = {}

    def keep(photo: Path) -> bool:
        is_listed[photo] = labels.has(photo)
        return is_listed[photo]

    try:
        return photos.readable_paths(keep)
    except ValueError:
        if not is_listed or any(is_listed.values()):
            raise
    reason = _not_listed(next(iter(is_listed)), photos, labels)
    raise ValueError(f"folder has no photo with real labels among its {len(is_listed)}. {reason}")


def _not_listed(photo: Path, photos: PhotoSet, labels: RealLabels) -> str:
    """The message about the files that do not list a photo, with a name that they list."""
    places = ", ".join(
        f"{table.source}, where one name is {table.example}" for table in labels.lacking(photo)
    )
    return f"{name_below(photos.folder, photo)} is not in {places}: {GO_BY}"


#: No real labels.
UNLABELLED = read_labels(LabelledPhotos("."))
