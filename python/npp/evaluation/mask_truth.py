"""True maps of classes for segmenters, from a folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from npp.evaluation.by_photo import ByPhoto
from npp.evaluation.class_overlaps import ClassCounter, ClassOverlaps
from npp.evaluation.judges import Judge
from npp.evaluation.label_places import check_size
from npp.evaluation.mask_files import ClassMaps, find_masks
from npp.evaluation.truth import MatchedTruth, NamedClass
from npp.photos.loading import photo_size
from npp.tasks.segmentation import IGNORE, Segmentation

_KEY = "masks"


class MaskTruth(MatchedTruth):
    """The class of each pixel (H, W) int64 of each photo.

    Args:
        maps: maps by the path or name of the photos, without suffix.
        folder: folder of the photos.
        source: name of the folder of maps in messages.
    """

    setting = _KEY
    task = Segmentation

    def __init__(self, maps: ClassMaps, folder: str, source: str = "") -> None:
        self._maps = maps
        self.by_photo: ByPhoto[Tensor] = ByPhoto(maps, folder, source=source, endings=False)

    def metrics(self) -> tuple[str, ...]:
        """The name of the mean intersection over union."""
        return ("true_miou",)

    def matcher(self, judge: Judge) -> ClassCounter:
        """A matcher that counts pixels by their classes."""
        return ClassCounter(_ignored(judge))

    def unpacked(self, stored: Mapping[str, Any]) -> ClassOverlaps:
        """The overlaps of classes from their form in the store."""
        return ClassOverlaps.unpacked(stored)

    def check(self, judges: Sequence[Judge], photos: Sequence[Path]) -> Mapping[str, NamedClass]:
        """Raises ValueError unless each map can be read, has its photo's size and has pixels that count.

        Raises:
            ValueError: one of these does not hold for a map, or it holds colours.
        """
        highest: dict[str, NamedClass] = {}
        for photo in photos if self else ():
            name, mask = self.by_photo.name(photo), self._checked(photo)
            for judge in judges:
                so_far = highest.get(judge.label, NamedClass(0, self.by_photo.photo_name(photo)))
                highest[judge.label] = max(so_far, _highest_class(judge, mask, name))
        return highest

    def _checked(self, photo: Path) -> Tensor:
        """The map of a photo. Raises ValueError unless it has the size of the photo."""
        mask = self.by_photo[photo]
        height, width = mask.shape
        file = self._maps.files[self.by_photo.name(photo)]
        check_size(_KEY, str(file), (height, width), photo_size(photo))
        return mask

    def key(self, photos: Sequence[Path]) -> list[Any]:
        """Hashes of the maps' files, and the classes of their numbers."""
        return [self._maps.key(self.by_photo.name(photo)) for photo in photos]


def _ignored(judge: Judge) -> int | None:
    """The class of pixels that do not count for a segmenter."""
    task: Any = judge.task
    ignored: int | None = task.ignore_index
    return ignored


def _highest_class(judge: Judge, mask: Tensor, name: str) -> NamedClass:
    """The highest class of the pixels of a map that count for a segmenter."""
    counted = mask[mask != _ignored(judge)]
    if not len(counted):
        raise ValueError(f"{_KEY}: {name} must have a pixel that counts for {judge.label}")
    if int(counted.min()) < 0:
        raise ValueError(f"{_KEY}: {name} must have numbers from 0 on, not {int(counted.min())}")
    return NamedClass(int(counted.max()), name)


def read_mask_truth(
    masks: str | None, numbers: Mapping[int, int], others: int | None, folder: str
) -> MaskTruth:
    """The maps of a folder; empty if no folder is given.

    Args:
        masks: folder of the maps.
        numbers, others: classes of the numbers in the files; pixels of other numbers do not count.
        folder: folder of the photos.

    Raises:
        ValueError: there are no maps; the message begins with the key.
    """
    if masks is None:
        return MaskTruth(ClassMaps({}), folder)
    maps = find_masks(masks, numbers, IGNORE if others is None else others)
    return MaskTruth(maps, folder, f"{_KEY} ({masks})")
