"""Bits per sample of picture files that have more than Pillow reads."""

from __future__ import annotations

from typing import Any

from PIL import Image

_READ = 8  # bits of a sample of colour, in every mode of Pillow
_GRAY = ("1", "L", "I", "F")  # modes, or how they begin, of which Pillow has deep ones too
_BITS_PER_SAMPLE = 258  # the tag of TIFF
_CODESTREAM = b"\xff\x4f\xff\x51"  # how one of JPEG 2000 begins: its start, and the marker of its sizes
_FIRST_DEPTH = 42  # bytes from there to the depth of the first component
_PIXEL_BOX = b"pixi"  # of AVIF: version and flags, how many channels, the bits of each


def read_as_8_bits(bits: int) -> str:
    """The note about a file of this many bits per sample."""
    return f"its {bits} bits a sample read as 8, for Pillow has no more for colour"


def bits_left_out(image: Image.Image, data: bytes) -> int | None:
    """Bits per sample of a colour file that has more than the 8 that Pillow reads; ``None`` for others.

    Args:
        image: the opened file.
        data: the bytes of the file.
    """
    if image.mode.startswith(_GRAY) and image.mode != "LAB":
        return None
    read = {"TIFF": _of_tiff, "PPM": _of_ppm, "JPEG2000": _of_jpeg_2000, "AVIF": _of_avif}.get(
        image.format or ""
    )
    bits = 0 if read is None else read(image, data)
    return bits if bits > _READ else None


def _of_tiff(image: Any, data: bytes) -> int:
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, ())
    return max(bits, default=0) if isinstance(bits, tuple) else int(bits)


def _of_ppm(image: Any, data: bytes) -> int:
    """Bits of the greatest sample value, which Pillow passes to its decoder; 0 if unknown."""
    arguments: Any = image.tile[0][3] if image.tile else ()
    greatest = arguments[-1] if isinstance(arguments, tuple) and arguments else 0
    return greatest.bit_length() if isinstance(greatest, int) else 0


def _of_jpeg_2000(image: Image.Image, data: bytes) -> int:
    offset = data.find(_CODESTREAM) + _FIRST_DEPTH
    return (data[offset] & 0x7F) + 1 if _FIRST_DEPTH <= offset < len(data) else 0


def _of_avif(image: Image.Image, data: bytes) -> int:
    offset = data.find(_PIXEL_BOX) + len(_PIXEL_BOX) + 4
    channels = data[offset] if len(_PIXEL_BOX) + 4 <= offset < len(data) else 0
    return max(data[offset + 1 : offset + 1 + channels], default=0)
