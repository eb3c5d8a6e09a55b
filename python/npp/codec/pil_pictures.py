"""Between PIL pictures and the codec: alpha in all its spellings, frames and their timing, EXIF's prefix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from npp._bpg import EncodeError
from npp.codec.metadata import tiff_structure
from npp.codec.tensor_memory import why_without_pixels

_EXIF_PREFIX = b"Exif\0\0"
_GRAY_MODES = ("1", "L", "LA", "La")
_ALPHA_MODES = ("LA", "RGBA", "La", "RGBa")

#: What browsers show a frame for that names no time of its own.
DEFAULT_MILLISECONDS = 100


def exif_to_tiff(exif: bytes | Image.Exif | None) -> bytes | None:
    """EXIF as BPG files hold it, a bare TIFF structure, from any of Pillow's forms; ``None`` where empty.

    Raises:
        TypeError: neither bytes nor ``Image.Exif``.
    """
    if exif is None:
        return None
    data = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"exif must be bytes, PIL.Image.Exif or None, not {type(data).__name__}")
    return tiff_structure(bytes(data)).removeprefix(_EXIF_PREFIX) or None


def tiff_to_exif(tiff: bytes) -> bytes:
    """EXIF as Pillow hands it around, from the TIFF structure in a BPG file."""
    return _EXIF_PREFIX + tiff_structure(tiff)


def has_own_color(mode: str) -> bool:
    """Whether a mode's colours are neither gray nor RGB, so that its ICC profile does not fit the file."""
    return mode in ("CMYK", "YCbCr", "LAB", "HSV")


def plain(image: Image.Image) -> Image.Image:
    """The picture with its transparency, however it was spelled, in an alpha channel; others as they are.

    Gray of more than 8 bits stays as it is, too: no mode of Pillow's holds it with alpha.
    """
    if image.mode[0] in "IF" or not image.has_transparency_data or image.mode in _ALPHA_MODES:
        return image
    return image.convert("LA" if image.mode in _GRAY_MODES else "RGBA")


def _common_wide_mode(wide: Sequence[str], narrow: Sequence[str]) -> str:
    """The mode of frames of more than 8 bits; ``narrow`` are the modes of all others."""
    if len(wide) == 1 and not narrow:
        return wide[0]
    if not narrow and all(mode[0] == "I" for mode in wide):
        return "I"  # it holds what all the others of 16 bits hold, on their scale
    conflicting = narrow or wide[1:]
    raise EncodeError(f"frames: mode {wide[0]} cannot be in one animation with {', '.join(conflicting)}")


def _common_mode(frames: Sequence[Image.Image]) -> str:
    modes = {frame.mode for frame in frames}
    wide = sorted(mode for mode in modes if mode[0] in "IF")
    if wide:
        return _common_wide_mode(wide, sorted(modes.difference(wide)))
    if len(modes) == 1 and modes <= {"L", "LA", "RGB", "RGBA"}:
        return modes.pop()
    gray = modes <= set(_GRAY_MODES)
    if any(frame.has_transparency_data for frame in frames):
        return "LA" if gray else "RGBA"
    return "L" if gray else "RGB"


def same_mode(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Frames of any modes in the smallest mode that holds them all.

    Raises:
        EncodeError: pictures of more than 8 bits among others, or floats among integers of 16 bits.
    """
    frames = [plain(frame) for frame in frames]
    mode = _common_mode(frames)
    return [frame if frame.mode == mode else frame.convert(mode) for frame in frames]


def first_shown(image: Image.Image) -> int:
    """The index of the first frame that is shown: 1 where an APNG's default image is no part of it.

    Copies of its frames have its ``info``, too, and are pictures of their own.
    """
    in_apng = image.format == "PNG" and frames_stored(image) > 1
    return 1 if in_apng and image.info.get("default_image") else 0


def frames_stored(image: Image.Image) -> int:
    """The number of pictures that a file holds, shown or not; 1 of a picture without a file."""
    return int(getattr(image, "n_frames", 1))


def frames_shown(image: Image.Image) -> int:
    """The number of pictures that :func:`iterate_frames` gives."""
    return frames_stored(image) - first_shown(image)


def iterate_frames(image: Image.Image) -> Iterator[tuple[Image.Image, float | None]]:
    """Copies of a file's frames, each with the milliseconds it is shown (``None``: the file does not say).

    An APNG's default image that is no part of its animation is left out. The position is put back.
    """
    position = image.tell()
    try:
        for index in range(first_shown(image), frames_stored(image)):
            image.seek(index)
            image.load()  # WebP knows a frame's duration only then
            yield image.copy(), image.info.get("duration")
    finally:
        image.seek(position)


def finite_positive(value: Any) -> Fraction | None:
    """A number above 0, numpy's and torch's included; ``None`` for nan, infinity and all else."""
    if isinstance(value, Tensor) and why_without_pixels(value) is not None:
        return None
    number = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(number, bool) or not isinstance(number, (int, float, Fraction)):
        return None
    return Fraction(number) if math.isfinite(number) and number > 0 else None


def seconds(milliseconds: Any) -> Fraction:
    """A frame's duration for the codec, from Pillow's milliseconds, rounded to thousandths of those.

    Raises:
        EncodeError: not a positive, finite number that is at least 0.001 when rounded.
    """
    value = finite_positive(milliseconds)
    rounded = Fraction(0) if value is None else value.limit_denominator(1000)
    if not rounded:
        raise EncodeError(f"duration must be positive, finite milliseconds, not {milliseconds!r}")
    return rounded / 1000


def seconds_or_default(milliseconds: Any) -> Fraction:
    """A frame's duration in seconds from Pillow's milliseconds, 0.1 where they are ``None`` or 0.

    Browsers show such frames for as long.

    Raises:
        EncodeError: as :func:`seconds`.
    """
    return seconds(milliseconds if milliseconds else DEFAULT_MILLISECONDS)


def to_pil(samples: Tensor, *, gray: bool) -> Image.Image:
    """A decoded picture as a PIL image.

    Args:
        samples: (C, H, W) as from :func:`npp.decode`, uint8, or uint16 with one channel.
        gray: of four channels the first three are the same: make it LA.

    Returns:
        L, LA, RGB or RGBA; I;16 for uint16.
    """
    pixels: np.ndarray[Any, Any] = samples.numpy()
    if pixels.shape[0] == 1:
        return Image.fromarray(np.ascontiguousarray(pixels[0]))
    if pixels.shape[0] == 4 and gray:
        pixels = pixels[[0, 3]]
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


#: The largest number that BPG can write about an animation: how often it is shown, how many periods a frame
#: is shown, and either number of the period, which is a fraction of a second.
MOST_SHOWN = 0xFFFF


def loop_count_of(image: Image.Image) -> int:
    """How often an opened animation is shown, 0 for ever.

    A GIF says how often it is *repeated*, and nothing when it is shown once; the others count showings.
    """
    loop = image.info.get("loop")
    if image.format != "GIF":
        return int(loop or 0)
    if loop is None:
        return 1
    return int(loop) + 1 if loop else 0
