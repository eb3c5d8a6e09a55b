"""Photos with real labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from npp.config.yaml_files import fill_in
from npp.photos.photo_set import PhotoSet
from npp.tasks.segmentation import IGNORE


@dataclass(frozen=True)
class LabelledPhotos(PhotoSet):
    """A set of photos, and the files with their real labels.

    Files name a photo by its path below ``folder``, or by its bare name if no other photo has that.

    Attributes:
        annotations: a file in COCO's format, for boxes by the photo's ``file_name``. Needs ``mode: full``.
        labels: a CSV file with the columns ``file`` and ``label``, the index of the class.
        regions: a CSV file with the columns ``file``, ``x``, ``y``, ``width``, ``height`` in pixels, and
            perhaps ``text``: the region of each photo for text readers, and the text in it. Needs
            ``mode: full``.
        masks: a folder of PNG, TIFF or BMP files with one number for each pixel, named as the photos are,
            in the same folders below it or in none. Needs ``mode: full``.
        mask_classes: which class of the network a number in them means; the number itself by default.
        mask_others: which class the numbers mean that ``mask_classes`` leaves out; by default they do not
            count.
        unlabelled: what happens to photos that one of these files does not list: ``"refuse"`` raises an
            error, ``"skip"`` leaves them out.
    """

    annotations: str | None = None
    labels: str | None = None
    regions: str | None = None
    masks: str | None = None
    mask_classes: dict[int, int] = field(default_factory=dict)
    mask_others: int | None = None
    unlabelled: Literal["refuse", "skip"] = "refuse"

    def __post_init__(self) -> None:
        super().__post_init__()
        fill_in(self, "annotations", "labels", "regions", "masks")
        for name in ("annotations", "regions", "masks"):
            if getattr(self, name) is not None and self.mode != "full":
                raise ValueError(f"{name} need mode: full, for they are not cut; it is {self.mode}")
        for name in ("mask_classes", "mask_others"):
            if getattr(self, name) not in ({}, None) and self.masks is None:
                raise ValueError(f"{name} must stand beside masks")
        if self.mask_others is not None and not self.mask_classes:
            raise ValueError("mask_others must stand beside mask_classes, for it is what those leave out")
        wrong = [
            index
            for index in (*self.mask_classes.values(), self.mask_others or 0)
            if not 0 <= index <= IGNORE
        ]
        if wrong:
            raise ValueError(f"mask_classes and mask_others must be 0 to {IGNORE}, not {wrong[0]}")
