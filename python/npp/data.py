"""Photos for training and evaluation: finding, splitting and loading them."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

Part = Literal["train", "val", "test"]
Mode = Literal["crop", "resize", "full"]

PHOTO_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


def expand(text: str) -> str:
    """Replaces ``~``, ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` as a shell does.

    Raises:
        ValueError: a variable without default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match[1] or match[2], match[3]
        found = os.environ.get(name) or default
        if found is None:
            raise ValueError(f"{text}: the environment variable {name} is not set")
        return found

    filled = _VARIABLE.sub(value, text)
    return str(Path(filled).expanduser()) if filled.startswith("~") else filled


def find_photos(folder: Path | str, include: str | Sequence[str] | None = None) -> list[Path]:
    """Photos below a folder, sorted by path.

    Args:
        folder: searched recursively; ``~`` and environment variables are expanded.
        include: one pattern or several, as ``*.jpg``; one with a slash is for the path below ``folder``,
            one without for the file's name. Files that Pillow does not know are left out. By default all of
            :data:`PHOTO_SUFFIXES`.

    Raises:
        ValueError: no such folder, or no photo in it.
    """
    root = Path(expand(str(folder)))
    if not root.is_dir():
        raise ValueError(f"data folder: {root} is not a folder")
    patterns = [include] if isinstance(include, str) else include
    suffixes = PHOTO_SUFFIXES if patterns is None else Image.registered_extensions()

    def wanted(path: Path) -> bool:
        if path.suffix.lower() not in suffixes:
            return False
        if patterns is None:
            return True
        below = path.relative_to(root).as_posix()
        return any(fnmatch(below if "/" in pattern else path.name, pattern) for pattern in patterns)

    paths = sorted(path for path in root.rglob("*") if wanted(path) and path.is_file())
    if not paths:
        raise ValueError(f"data folder: no photos ({', '.join(patterns or PHOTO_SUFFIXES)}) in {root}")
    return paths


def _place(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on the name only."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split(
    paths: Sequence[Path],
    part: Part = "train",
    seed: int = 0,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> list[Path]:
    """The photos of one part, in their order.

    A hash of the file's name says where a photo belongs, so that a photo stays in its part when others are
    added or the folder moves. Parts are therefore only about as large as their fractions.

    Args:
        paths: photos.
        part: ``"train"``, ``"val"`` or ``"test"``.
        seed: another seed is another split.
        fractions: of train, val and test; their sum is 1.

    Raises:
        ValueError: an unknown part or wrong fractions.
    """
    names = get_args(Part)
    if part not in names:
        raise ValueError(f"part must be one of {', '.join(names)}, not {part!r}")
    if (
        len(fractions) != len(names)
        or min(fractions) < 0
        or not math.isclose(sum(fractions), 1, abs_tol=1e-6)
    ):
        raise ValueError(f"fractions must be three numbers from 0 with sum 1, not {tuple(fractions)}")
    index = names.index(part)
    low, high = sum(fractions[:index]), sum(fractions[: index + 1])
    end = math.inf if index == len(names) - 1 else high
    return [path for path in paths if low <= _place(path.name, seed) < end]


def to_tensor(image: Image.Image) -> Tensor:
    """A Pillow picture as RGB (3, H, W) float32 in [0, 1]."""
    pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def open_photo(path: Path | str) -> Image.Image:
    """An RGB picture, turned as its EXIF orientation says.

    Raises:
        OSError: the file cannot be read; the message names it.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise OSError(f"{path}: {error}") from error


def cover(image: Image.Image, size: tuple[int, int], *, shrink: bool) -> Image.Image:
    """Scales a picture so that it just covers (height, width); a larger one only with ``shrink``."""
    height, width = size
    scale = max(height / image.height, width / image.width)
    if scale == 1 or (scale < 1 and not shrink):
        return image
    new = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    return image.resize(new, Image.Resampling.BICUBIC)


def height_and_width(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width from one number or the two.

    Raises:
        ValueError: neither, or below 1.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size must be a number or (height, width), 1 or more, not {size}")
    return pair[0], pair[1]


def load_photo(path: Path | str, size: int | Sequence[int] | None = None, mode: Mode = "crop") -> Tensor:
    """One photo.

    Args:
        path: a file that Pillow reads.
        size: height and width of the result, or one number for both; not for ``"full"``.
        mode: ``"crop"`` cuts the centre out of the pixels as they are (a smaller photo is enlarged first),
            ``"resize"`` scales the photo until it just covers ``size`` and then cuts, ``"full"`` takes all
            pixels.

    Returns:
        (3, H, W) float32 RGB in [0, 1].

    Raises:
        ValueError: a wrong size or mode.
        OSError: the file cannot be read.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, not {mode!r}")
    if mode == "full":
        if size is not None:
            raise ValueError(f"size must be None with mode 'full', not {size}")
        return to_tensor(open_photo(path))
    if size is None:
        raise ValueError(f"size must be given with mode {mode!r}")
    height, width = height_and_width(size)
    image = cover(open_photo(path), (height, width), shrink=mode == "resize")
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return to_tensor(image.crop((left, top, left + width, top + height)))
