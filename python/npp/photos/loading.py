"""Photos as tensors: opening, scaling and cutting them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

Mode = Literal["crop", "resize", "full"]


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
