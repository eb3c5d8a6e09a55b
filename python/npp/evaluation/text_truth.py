"""True texts for text readers, and the regions that they read, from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.evaluation.by_photo import ByPhoto
from npp.evaluation.judges import Judge
from npp.evaluation.label_places import check_places
from npp.evaluation.region_files import regions_listed
from npp.evaluation.truth import LabelError, NamedClass, Truth
from npp.photos.loading import photo_size
from npp.tasks import Task
from npp.tasks.recognition import Recognition, TextTooLongError
from npp.tasks.region_task import Region, RegionTask

_KEY = "regions"


class TextTruth(Truth):
    """The text in each photo's region; regions may have no texts.

    Args:
        by_photo: the text of each photo.
        regions: the region of each photo.
    """

    setting = _KEY
    task = Recognition

    def __init__(self, by_photo: ByPhoto[str], regions: ByPhoto[Region]) -> None:
        self.by_photo, self.regions = by_photo, regions

    @property
    def tables(self) -> tuple[ByPhoto[Any], ...]:
        """The tables of regions and of texts."""
        return self.regions, self.by_photo

    def cropped(self, task: Task, photos: Sequence[Path]) -> Task:
        """The task on the region of each of these photos if it is a text reader; other tasks unchanged."""
        if self.regions and isinstance(task, Recognition):
            return RegionTask(task, [self.regions[photo] for photo in photos])
        return task

    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> Mapping[str, NamedClass]:
        """Raises ValueError unless regions lie in their photos, and readers have all characters of the texts.

        Raises:
            ValueError: a region has no pixel of its photo, or a reader lacks a character.
        """
        for photo in photos if self.regions else ():
            name = self.regions.photo_name(photo)
            check_places(_KEY, name, [self.regions[photo]], photo_size(photo))
        for judge in judges:
            for photo in photos:
                self._check_text(judge, photo)
        return {}

    def _check_text(self, judge: Judge, photo: Path) -> None:
        task: Any = judge.task
        try:
            task.alphabet.encode(self.by_photo[photo])
        except ValueError as error:
            name = self.by_photo.photo_name(photo)
            raise ValueError(f"{_KEY}: the text of {name} is not one for {judge.label}: {error}") from None

    def scores(
        self, judge: Judge, task: Task, images: Tensor, photos: Sequence[Path]
    ) -> Mapping[str, Tensor]:
        """Scores for the texts in the photos' regions, which are read one by one, for their sizes differ."""
        by_photo = [self._scores_of(judge, image, photo) for image, photo in zip(images, photos, strict=True)]
        return {name: torch.cat([scores[name] for scores in by_photo]) for name in by_photo[0]}

    def _scores_of(self, judge: Judge, image: Tensor, photo: Path) -> Mapping[str, Tensor]:
        """Scores (1,) of a picture (3, H, W) of one photo."""
        text = self.by_photo[photo]
        try:
            return self.cropped(judge.task, [photo]).scores(image[None], [text])
        except TextTooLongError as error:
            reason = str(error).partition(": ")[2]
            name = self.by_photo.photo_name(photo)
            raise LabelError(
                f"{_KEY}: the text {text!r} of {name} is too long for {judge.label}: {reason}"
            ) from None

    def key(self, photos: Sequence[Path]) -> list[Any]:
        """The regions with their texts, as a JSON value."""
        return [[list(self.regions[photo]), self.by_photo.get(photo)] for photo in photos]


def read_text_truth(file: str | None, folder: str) -> TextTruth:
    """The regions and texts of a CSV file with a line for each photo; empty if no file is given.

    Args:
        file: see :func:`npp.evaluation.region_files.regions_listed`.
        folder: folder of the photos.

    Raises:
        ValueError: the file cannot be read, has another format, or lists no photo or one twice; the message
            begins with the key.
    """
    if file is None:
        return TextTruth(ByPhoto({}), ByPhoto({}))
    rows = regions_listed(file)
    repeated = [name for name, of_photo in rows.items() if len(of_photo) > 1]
    if repeated:
        raise ValueError(f"{_KEY}: {file} must have one line for each photo, not more for {repeated[0]}")
    regions = {name: row.region for name, (row,) in rows.items()}
    texts = {name: row.text for name, (row,) in rows.items() if row.text}
    source = f"{_KEY} ({file})"
    of_texts = ByPhoto(texts, folder, source=f"the texts of {source}")
    return TextTruth(of_texts, ByPhoto(regions, folder, source=source))
