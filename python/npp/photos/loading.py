"""Photos as tensors: opening, scaling and cutting them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from npp._bpg import EncodeError
from npp.checks import brief, is_int, one_of
from npp.codec.image_inputs import CodecImage, SingleImage, describe_range
from npp.codec.limits import why_too_large
from npp.photos.picture_files import open_picture, read_still

Mode = Literal["crop", "resize", "full"]


# What EXIF's orientation asks for; 1 is as it is.
_ORIENTATION = 0x0112
_TURNS = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
_LYING = (5, 6, 7, 8)


def _as_rgb(picture: SingleImage) -> Image.Image:
    """RGB of 8 bits from a picture in any of the forms that the codec takes."""
    if isinstance(picture, Image.Image) and picture.mode == "RGB":
        return picture
    samples = CodecImage(picture, "the picture").samples[:3]
    if np.issubdtype(samples.dtype, np.floating):
        if not (samples.min() >= 0 and samples.max() <= 1):  # NaN is neither
            raise EncodeError(describe_range("the picture", samples))
        samples = np.floor(samples * 255 + 0.5)
    elif samples.dtype == np.uint16:
        samples = (samples.astype(np.uint32) * 255 + 32768) >> 16  # as the codec rounds them
    color = np.broadcast_to(samples.astype(np.uint8), (3, *samples.shape[1:]))
    return Image.fromarray(np.ascontiguousarray(color.transpose(1, 2, 0)))


def to_tensor(image: Image.Image) -> Tensor:
    """A Pillow picture as RGB (3, H, W) float32 in [0, 1], of 8 bits; see :func:`open_photo`."""
    pixels = np.array(_as_rgb(image))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def _file_of(path: Any) -> Path:
    """Raises TypeError for what is no path; of pictures that are open already it says what makes tensors."""
    try:
        return Path(path)
    except TypeError:
        hint = ""
        if isinstance(path, Image.Image):
            hint = "; npp.photos.to_tensor(image) makes a tensor of a PIL image"
        elif isinstance(path, bytes) or hasattr(path, "read"):
            hint = "; PIL.Image.open reads an open file, and npp.photos.to_tensor(image) makes a tensor of it"
        kind = type(path).__name__
        raise TypeError(f"path must be a str or a Path, where a photo is, not {kind}{hint}") from None


@contextmanager
def _errors_name(path: Path | str) -> Iterator[None]:
    """Whatever a damaged file brings out in a decoder becomes an OSError that names the file."""
    try:
        yield
    except MemoryError:
        raise  # which is not the file's fault, and no reason to go on without it
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{path}: {text}") from error


def _orientation(image: Image.Image) -> int:
    """What EXIF says, 1 to 8; 1, as it is, where it says nothing or is damaged: the pixels may be good."""
    try:
        orientation: Any = image.getexif().get(_ORIENTATION)
    except (SyntaxError, struct.error, ValueError, KeyError, TypeError):  # what Pillow says of damaged EXIF
        return 1
    return int(orientation) if orientation in _TURNS else 1


def open_photo(path: Path | str) -> Image.Image:
    """An RGB picture of 8 bits, turned as its EXIF orientation says.

    It has the samples that ``npp encode`` takes from the same file: gray of 16 bits has the range 0 to 65535,
    floats have the range 0 to 1, and more than 8 bits are rounded to 8. Of transparent pixels the colour is
    taken as it stands in the file, and alpha is left out. Of an animation it is the first frame. CMYK is
    converted without its profile. Damaged EXIF turns nothing.

    Raises:
        OSError: the file cannot be read, is damaged, is above the limit of :func:`npp.set_max_pixels` or has
            samples outside its range; the message names it.
        TypeError: ``path`` is no path, as a file's bytes or an opened file are none.
    """
    file = _file_of(path)
    with _errors_name(path):
        data = file.read_bytes()
        with open_picture(data) as image:
            picture = _as_rgb(read_still(image, data)[0])
            # Asked when all is read: Pillow itself turns a TIFF while it loads it.
            turn = _TURNS.get(_orientation(image))
            return picture.copy() if turn is None else picture.transpose(turn)


def photo_size(path: Path | str) -> tuple[int, int]:
    """Height and width of a photo as :func:`open_photo` gives it; of most files only the header is looked at.

    Raises:
        OSError: the file cannot be read.
        TypeError: ``path`` is no path.
    """
    file = _file_of(path)
    with _errors_name(path), open_picture(file.read_bytes()) as image:
        if image.format == "TIFF":
            image.load()  # Pillow turns it then
        lying = _orientation(image) in _LYING
        return (image.width, image.height) if lying else (image.height, image.width)


def open_covering(path: Path | str, size: tuple[int, int], *, shrink: bool) -> Image.Image:
    """A photo as :func:`open_photo` gives it, scaled so that it just covers ``size``.

    Args:
        path: of the photo.
        size: height and width.
        shrink: scale a larger photo, too; without it that stays as it is.

    Raises:
        OSError: as :func:`open_photo`; or the scaled photo, for a long and narrow one much larger than
            ``size``, would be above the limit of :func:`npp.set_max_pixels`.
    """
    image = open_photo(path)
    height, width = size
    scale = max(height / image.height, width / image.width)
    if scale == 1 or (scale < 1 and not shrink):
        return image
    new = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if (reason := why_too_large(1, *new)) is not None:
        raise OSError(
            f"{path}: of {image.width}x{image.height} pixels, scaled to cover {width}x{height}, {reason}"
        )
    return image.resize(new, Image.Resampling.BICUBIC)


def height_and_width(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width from one number or the two.

    Raises:
        ValueError: neither, not whole, or below 1.
    """
    pair: tuple[Any, ...] = tuple(size) if isinstance(size, (Sequence, np.ndarray)) else (size, size)
    if len(pair) != 2 or not all(is_int(side) and side >= 1 for side in pair):
        raise ValueError(
            f"size must be a number or (height, width), 1 or more, not {brief(size)}; pixels are whole"
        )
    return int(pair[0]), int(pair[1])


def check_mode(mode: object) -> None:
    """Raises ValueError for what is no :data:`Mode`."""
    one_of("mode", mode, get_args(Mode))


def load_photo(path: Path | str, size: int | Sequence[int] | None = None, mode: Mode | None = None) -> Tensor:
    """One photo, turned as its EXIF orientation says; all of its pixels unless a size is given.

    Args:
        path: a file that Pillow reads, or a BPG file.
        size: height and width of the result, or one number for both; ``None`` with ``"full"``.
        mode: ``"crop"``, the default where there is a size, cuts the centre out of the pixels as they are (a
            smaller photo is enlarged first), ``"resize"`` scales the photo until it just covers ``size`` and
            then cuts, ``"full"``, the default without a size, takes all pixels.

    Returns:
        (3, H, W) float32 RGB in [0, 1].

    Raises:
        TypeError: ``path`` is no path.
        ValueError: a wrong size or mode.
        OSError: the file cannot be read; see :func:`open_photo`. Or it is so long and narrow that, scaled to
            cover ``size``, it would be above the limit of :func:`npp.set_max_pixels`.
    """
    if mode is None:
        mode = "full" if size is None else "crop"
    check_mode(mode)
    if mode == "full":
        if size is not None:
            raise ValueError(f"size must be None with mode 'full', not {size}")
        return to_tensor(open_photo(path))
    if size is None:
        raise ValueError(f"size must be given with mode {mode!r}; without a mode all pixels are taken")
    height, width = height_and_width(size)
    image = open_covering(path, (height, width), shrink=mode == "resize")
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return to_tensor(image.crop((left, top, left + width, top + height)))
