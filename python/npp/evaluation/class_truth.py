"""True classes for classifiers, from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from npp.evaluation.by_photo import ByPhoto, entry_name
from npp.evaluation.judges import Judge
from npp.evaluation.region_files import LineError, check_not_empty, check_once, errors_with_key, read_table
from npp.evaluation.truth import NamedClass, Truth
from npp.tasks.classification import Classification

_KEY = "labels"


class ClassTruth(Truth):
    """The index of the class of each photo.

    Args:
        by_photo: the class of each photo.
    """

    setting = _KEY
    task = Classification

    def __init__(self, by_photo: ByPhoto[int]) -> None:
        self.by_photo = by_photo

    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> Mapping[str, NamedClass]:
        """The highest class of the photos by judge, which a network may lack; nothing else can be wrong."""
        if not judges:
            return {}
        classes = [NamedClass(self.by_photo[photo], self.by_photo.photo_name(photo)) for photo in photos]
        return {judge.label: max(classes) for judge in judges}

    def key(self, photos: Sequence[Path]) -> list[int | None]:
        """The classes of the photos; ``None`` for a photo without one."""
        return [self.by_photo.get(photo) for photo in photos]


def read_class_truth(file: str | None, folder: str) -> ClassTruth:
    """The classes of a CSV file with the columns ``file`` and ``label``; empty if no file is given.

    Args:
        file: the table.
        folder: folder of the photos.

    Raises:
        ValueError: the file cannot be read, has another format or lists no photo; the message begins with the
            key.
    """
    if file is None:
        return ClassTruth(ByPhoto({}))
    path = Path(file)
    with errors_with_key(_KEY, path):
        rows = read_table(path, ("file", "label"))
        check_once(entry_name(row["file"]) for _, row in rows)
        classes = {entry_name(row["file"]): _class_index(row["label"], line) for line, row in rows}
    check_not_empty(_KEY, path, classes)
    return ClassTruth(ByPhoto(classes, folder, source=f"{_KEY} ({path})"))


def _class_index(text: str, line: int) -> int:
    try:
        index = int(text)
    except ValueError:
        index = -1
    if index < 0:
        raise LineError(f"line {line}: label must be a class index from 0, not {text!r}")
    return index
