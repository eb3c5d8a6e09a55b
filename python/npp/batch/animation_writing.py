"""Decoded animations as files of other formats."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import Disposal
from torch import Tensor

from npp.batch.animated_webp import animated_webp
from npp.batch.picture_writing import (
    Rendered,
    WriteSettings,
    check_sides,
    metadata_arguments,
    to_pictures,
    whole_alpha,
)
from npp.codec.metadata import ImageInfo, Metadata
from npp.photos.picture_files import open_picture

_SINGLE_FILES = "one file a frame with a name like frame-%03d.png"

# The formats' fields have 16 bits for seconds, 16 for hundredths and 24 for milliseconds.
_LONGEST_SECONDS = {"PNG": Fraction(65535), "GIF": Fraction(65535, 100), "WEBP": Fraction(2**24 - 1, 1000)}
_MOST_SHOWINGS = {"PNG": 2**31 - 1, "GIF": 65536, "WEBP": 65535}  # a GIF has 16 bits for repetitions
_LARGEST_NUMERATOR = 65535  # of the fraction of a second that is an APNG's duration
# What Pillow raises, depending on its version, for numbers that do not fit a field.
_TOO_LARGE = (OverflowError, struct.error)


def whole_units(durations: Sequence[Fraction], unit: Fraction) -> list[int]:
    """Durations in whole units, at least 1 each, whose running sum keeps up with the true one."""
    units: list[int] = []
    end, shown = Fraction(0), 0
    for duration in durations:
        end += duration
        units.append(max(1, round(end / unit) - shown))
        shown += units[-1]
    return units


def _check_durations(format_name: str, info: ImageInfo) -> None:
    longest = max(info.durations)
    if longest > _LONGEST_SECONDS[format_name]:
        raise ValueError(
            f"a frame is shown for {float(longest):g} s; {format_name} allows "
            f"{float(_LONGEST_SECONDS[format_name]):g} s at most: write {_SINGLE_FILES}"
        )


def _showings(format_name: str, info: ImageInfo) -> tuple[int, list[str]]:
    """How often the animation is shown, 0 for ever, and a note if the format cannot count that far."""
    limit = _MOST_SHOWINGS[format_name]
    if info.loop_count <= limit:
        return info.loop_count, []
    return limit, [f"shown {limit} times instead of {info.loop_count}: {format_name} counts no further"]


def png_milliseconds(value: int) -> int:
    """A duration that an APNG's fraction holds: long ones lose their last digits."""
    candidates = (round(value / step) * step for step in (1, 10, 100, 1000))
    return next(
        candidate for candidate in candidates if Fraction(candidate, 1000).numerator <= _LARGEST_NUMERATOR
    )


def _disposals(pictures: Sequence[Image.Image]) -> list[Disposal]:
    """What an APNG's viewer does with each frame before it shows the next.

    Pillow joins equal neighbours if both have the same disposal. Restoring what was there before the second
    of them leaves the same picture, and keeps them apart.
    """
    disposals = [Disposal.OP_NONE]
    for before, picture in pairwise(pictures):
        is_repeat = disposals[-1] is Disposal.OP_NONE and picture.tobytes() == before.tobytes()
        disposals.append(Disposal.OP_PREVIOUS if is_repeat else Disposal.OP_NONE)
    return disposals


def _saved(pictures: list[Image.Image], name: str, too_long: str, **arguments: Any) -> bytes:
    """The frames as a file that Pillow writes; ``too_long`` is the message if durations do not fit it."""
    out = BytesIO()
    try:
        pictures[0].save(out, name, save_all=True, append_images=pictures[1:], **arguments)
    except _TOO_LARGE:
        raise ValueError(too_long) from None
    return out.getvalue()


def _write_png(pictures: list[Image.Image], milliseconds: list[int], loop: int, arguments: Any) -> bytes:
    return _saved(
        pictures,
        "PNG",
        "frames are shown for more than 65.535 s, which Pillow writes into a PNG from version 12.1 on: "
        f"write webp, or {_SINGLE_FILES}",
        duration=[png_milliseconds(value) for value in milliseconds],
        loop=loop,
        disposal=_disposals(pictures),
        **arguments,
    )


def _write_gif(pictures: list[Image.Image], info: ImageInfo, showings: int) -> Rendered:
    """A GIF. Pillow joins neighbours that are equal in the GIF's colours, which a note says."""
    # A GIF holds the number of repetitions, and nothing if it is shown once.
    arguments: dict[str, Any] = {} if showings == 1 else {"loop": max(0, showings - 1)}
    if info.has_alpha:
        arguments["disposal"] = 2  # else a frame would show through the next one's transparent pixels
    hundredths = whole_units(info.durations, Fraction(1, 100))
    file = _saved(
        pictures,
        "GIF",
        "equal frames, which become one in GIF, are shown for more than "
        f"{float(_LONGEST_SECONDS['GIF']):g} s together: write png, webp, or {_SINGLE_FILES}",
        duration=[10 * value for value in hundredths],
        **arguments,
    )
    with open_picture(file) as image:
        shown: int = getattr(image, "n_frames", 1)
    if shown == len(pictures):
        return file, []
    return file, [f"{len(pictures)} frames are {shown} in the GIF: equal neighbours become one"]


def check_animation(info: ImageInfo, settings: WriteSettings, height: int, width: int) -> None:
    """Raises ValueError unless a format can hold the animation of a file.

    Args:
        info: header of the BPG file.
        settings: the format.
        height, width: size in pixels of the written frames, which may be larger than the coded ones.

    Raises:
        ValueError: the format has no animations, or none that are so large or show a frame for so long.
    """
    name = settings.format
    if name not in _LONGEST_SECONDS:
        raise ValueError(
            f"an animation of {info.frames} frames; {name} has none: write png, gif or webp, "
            f"or {_SINGLE_FILES}"
        )
    if settings.deep:
        raise ValueError(f"16 bits: only as stills; write {_SINGLE_FILES}")
    check_sides(name, height, width, f"png, or {_SINGLE_FILES}")
    _check_durations(name, info)


def write_animation(frames: Tensor, info: ImageInfo, metadata: Metadata, settings: WriteSettings) -> Rendered:
    """An animation as a file.

    Args:
        frames: (F, C, H, W) as decoded.
        info: header of the BPG file.
        metadata: the metadata to keep.
        settings: the format.

    Raises:
        ValueError: the format cannot hold the animation.
    """
    check_animation(info, settings, frames.shape[-2], frames.shape[-1])
    name = settings.format
    showings, notes = _showings(name, info)
    arguments, lost = metadata_arguments(name, metadata)
    if name == "GIF":
        binary, alpha_notes = whole_alpha(frames)
        file, merged = _write_gif(to_pictures(binary, info, name), info, showings)
        return file, [*lost, *notes, *alpha_notes, *merged]
    pictures = to_pictures(frames, info, name)
    milliseconds = whole_units(info.durations, Fraction(1, 1000))
    if name == "WEBP":
        return animated_webp(pictures, milliseconds, showings, metadata), [*lost, *notes]
    return _write_png(pictures, milliseconds, showings, arguments), [*lost, *notes]
