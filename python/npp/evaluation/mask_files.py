"""Maps of classes from a folder of pictures with one number for each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from npp.config.digests import hash_file
from npp.config.yaml_files import expand
from npp.photos.finding import name_below
from npp.tasks.segmentation import IGNORE

_ENDINGS = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class ClassMaps(Mapping[str, Tensor]):
    """Maps of classes (H, W) int64 by the photo's path or name without suffix; read when they are used.

    Attributes:
        files: files of the maps.
        numbers: class of each number in the files.
        others: class of the numbers that ``numbers`` lacks.
    """

    files: Mapping[str, Path]
    numbers: Mapping[int, int] = field(default_factory=dict)
    others: int = IGNORE

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __getitem__(self, name: str) -> Tensor:
        """The map (H, W) of a name.

        Raises:
            KeyError: there is no map of that name.
            ValueError: its file cannot be read, or holds colours; the message begins with ``masks``.
        """
        path = self.files[name]
        try:
            with Image.open(path) as picture:
                # The numbers are the classes; the colours of a palette only show them.
                if picture.mode not in ("L", "P", "I", "I;16", "1"):
                    raise ValueError(f"masks: {path} must have one number for each pixel, not {picture.mode}")
                pixels = torch.from_numpy(np.array(picture).astype(np.int64))
        except (OSError, SyntaxError) as error:
            raise ValueError(f"masks: {path} cannot be read: {error}") from error
        return self._classes(pixels)

    def key(self, name: str) -> list[Any]:
        """A JSON value that determines the map of a photo."""
        numbers = sorted(map(list, self.numbers.items()))
        return [hash_file(self.files[name]), numbers, self.others]

    def _classes(self, pixels: Tensor) -> Tensor:
        if not self.numbers:
            return pixels
        classes = torch.full_like(pixels, self.others)
        for number, class_index in self.numbers.items():
            classes[pixels == number] = class_index
        return classes


def find_masks(folder: str, numbers: Mapping[int, int], others: int) -> ClassMaps:
    """The maps of a folder and its subfolders, by their paths below it without suffixes.

    Args:
        folder: folder of PNG, TIFF or BMP files; environment variables are expanded.
        numbers, others: see :class:`ClassMaps`.

    Raises:
        ValueError: there are no maps, or two of one photo; the message begins with ``masks``.
    """
    root = Path(expand(folder))
    paths = (path for path in sorted(root.rglob("*")) if path.suffix.lower() in _ENDINGS)
    files: dict[str, Path] = {}
    for path in paths:
        name = name_below(root, path.with_suffix(""))
        if name in files:
            raise ValueError(f"masks: {files[name]} and {path} are of one photo, {name}; one is right")
        files[name] = path
    if not files:
        raise ValueError(f"masks must be a folder with maps of classes ({', '.join(_ENDINGS)}), not {root}")
    return ClassMaps(files, dict(numbers), others)
