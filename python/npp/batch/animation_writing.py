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

# What their fields hold: 16 bits of seconds, 16 of hundredths, 24 of milliseconds.
_LONGEST_SECONDS = {"PNG": Fraction(65535), "GIF": Fraction(65535, 100), "WEBP": Fraction(2**24 - 1, 1000)}
_MOST_SHOWINGS = {"PNG": 2**31 - 1, "GIF": 65536, "WEBP": 65535}  # a GIF has 16 bits for repetitions
_LARGEST_NUMERATOR = 65535  # of an APNG's duration, which is a fraction of a second
# What Pillow raises, by its version, of numbers that a file has no room for.
_TOO_LARGE = (OverflowError, struct.error)


def _whole_units(durations: Sequence[Fraction], unit: Fraction) -> list[int]:
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
    """How often the animation is shown, 0 for ever, and a note where the format cannot count so far."""
    limit = _MOST_SHOWINGS[format_name]
    if info.loop_count <= limit:
        return info.loop_count, []
    return limit, [f"shown {limit} times instead of {info.loop_count}: {format_name} counts no further"]


def _png_milliseconds(value: int) -> int:
    """A duration that an APNG's fraction holds: long ones lose their last digits."""
    candidates = (round(value / step) * step for step in (1, 10, 100, 1000))
    return next(
        candidate for candidate in candidates if Fraction(candidate, 1000).numerator <= _LARGEST_NUMERATOR
    )


def _disposals(pictures: Sequence[Image.Image]) -> list[Disposal]:
    """What an APNG's viewer does with each frame before the next.

    Pillow makes one frame of equal neighbours where that is the same for both. To put back what was there
    before the second of them leaves the same picture.
    """
    disposals = [Disposal.OP_NONE]
    for before, picture in pairwise(pictures):
        is_repeat = disposals[-1] is Disposal.OP_NONE and picture.tobytes() == before.tobytes()
        disposals.append(Disposal.OP_PREVIOUS if is_repeat else Disposal.OP_NONE)
    return disposals


def _saved(pictures: list[Image.Image], name: str, too_long: str, **arguments: Any) -> bytes:
    """Frames as Pillow writes them; ``too_long`` is said where their durations have no room in the format."""
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
        duration=[_png_milliseconds(value) for value in milliseconds],
        loop=loop,
        disposal=_disposals(pictures),
        **arguments,
    )


def _write_gif(pictures: list[Image.Image], info: ImageInfo, showings: int) -> Rendered:
    """A GIF; Pillow makes one frame of those neighbours that are equal in its colours."""
    # A GIF says how often it is repeated, and nothing when it is shown once.
    arguments: dict[str, Any] = {} if showings == 1 else {"loop": max(0, showings - 1)}
    if info.has_alpha:
        arguments["disposal"] = 2  # else a frame would show through the next one's transparent pixels
    hundredths = _whole_units(info.durations, Fraction(1, 100))
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
    """That a format can hold the animation of a file.

    Args:
        info: of the BPG file.
        settings: the format.
        height, width: of the frames that are to be written, which may be larger than the coded ones.

    Raises:
        ValueError: the format has no animations, none so large, or none whose frames are shown for so long.
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
        info: of the BPG file.
        metadata: to take along.
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
    milliseconds = _whole_units(info.durations, Fraction(1, 1000))
    if name == "WEBP":
        return animated_webp(pictures, milliseconds, showings, metadata), [*lost, *notes]
    return _write_png(pictures, milliseconds, showings, arguments), [*lost, *notes]
