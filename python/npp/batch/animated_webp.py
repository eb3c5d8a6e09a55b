"""Lossless animated WebP that keeps equal frames apart and the colour of transparent pixels.

Pillow's own animations do neither. Pillow encodes the single pictures here; the container around them is
written by Google's specification (https://developers.google.com/speed/webp/docs/riff_container).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO

from PIL import Image, ImageChops

from npp.codec.metadata import Metadata, tiff_structure

_ANIMATED, _XMP, _EXIF, _ALPHA, _PROFILE = 0x02, 0x04, 0x08, 0x10, 0x20  # flags of the file
_REPLACES = 0x02  # flag of a frame: its pixels replace those below, alpha included
_BACKGROUND = bytes(4)
_EFFORT = 2  # as fast as APNG; 4, as for stills, takes three times as long to save 3 % of the bytes


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _three_bytes(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _bitstream(picture: Image.Image) -> bytes:
    """The chunk that holds a picture's pixels."""
    out = BytesIO()
    picture.save(out, "WEBP", lossless=True, exact=True, method=_EFFORT)
    file = out.getvalue()
    if file[12:16] != b"VP8L":
        raise ValueError(f"Pillow has written {file[12:16]!r} where VP8L was expected")
    return file[12:]


def _changed(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int]:
    """The box of pixels that changed: left, top (both even, as the format asks), right, bottom."""
    box = ImageChops.difference(before, after).getbbox(alpha_only=False) or (0, 0, 1, 1)
    return box[0] // 2 * 2, box[1] // 2 * 2, box[2], box[3]


def _frames(pictures: Sequence[Image.Image], milliseconds: Sequence[int]) -> Iterator[bytes]:
    """The chunk of every frame."""
    before = None
    for picture, duration in zip(pictures, milliseconds, strict=True):
        left, top, right, bottom = (0, 0, *picture.size) if before is None else _changed(before, picture)
        head = (left // 2, top // 2, right - left - 1, bottom - top - 1, duration)
        bitstream = _bitstream(picture.crop((left, top, right, bottom)))
        yield _chunk(b"ANMF", b"".join(map(_three_bytes, head)) + bytes([_REPLACES]) + bitstream)
        before = picture


def animated_webp(
    pictures: Sequence[Image.Image], milliseconds: Sequence[int], loop_count: int, metadata: Metadata
) -> bytes:
    """An animated WebP file of these pictures.

    Args:
        pictures: at least one; all of one size and mode, L, RGB or RGBA.
        milliseconds: how long each picture is shown, at most 2**24 - 1.
        loop_count: how often the animation is shown, at most 65535; 0 for ever.
        metadata: its EXIF, ICC profile and XMP are written.
    """
    flags, before, behind = _ANIMATED, b"", b""
    if "A" in pictures[0].getbands():
        flags |= _ALPHA
    if metadata.icc_profile is not None:
        flags, before = flags | _PROFILE, _chunk(b"ICCP", metadata.icc_profile)
    if metadata.exif is not None:
        flags, behind = flags | _EXIF, _chunk(b"EXIF", tiff_structure(metadata.exif))
    if metadata.xmp is not None:
        flags, behind = flags | _XMP, behind + _chunk(b"XMP ", metadata.xmp)
    width, height = pictures[0].size
    head = struct.pack("<I", flags) + _three_bytes(width - 1) + _three_bytes(height - 1)
    control = _chunk(b"ANIM", _BACKGROUND + struct.pack("<H", loop_count))
    body = b"".join(
        [b"WEBP", _chunk(b"VP8X", head), before, control, *_frames(pictures, milliseconds), behind]
    )
    return _chunk(b"RIFF", body)
