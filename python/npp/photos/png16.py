"""PNG with 16 bits a sample in colour: Pillow itself keeps only eight of them.

Written from the PNG specification (ISO/IEC 15948).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from npp.codec.metadata import Metadata

Samples: TypeAlias = npt.NDArray[np.uint16]
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_PAETH = 4
BAND_BYTES = 1 << 17  # of rows that are filtered at once: with all that the filter makes they fit caches
_XMP_KEYWORD = b"XML:com.adobe.xmp"


def _raw_mode(image: Image.Image) -> Any:
    """How Pillow is about to unpack the file's rows."""
    tile: Any = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else None
    return arguments[0] if isinstance(arguments, tuple) else arguments


def has_deep_color(image: Image.Image) -> bool:
    """Whether an opened, not yet loaded picture is a PNG of colour or alpha with 16 bits a sample."""
    return image.format == "PNG" and _raw_mode(image) in ("RGB;16B", "RGBA;16B", "LA;16B")


def _unpack(data: bytes, raw_mode: str) -> npt.NDArray[np.uint8]:
    """The picture's bytes as Pillow sees them through one of its unpackers, (H, W, C)."""
    with Image.open(BytesIO(data)) as image:
        kind, box, offset = image.tile[0][:3]
        image.tile = [type(image.tile[0])(kind, box, offset, raw_mode)]
        return np.asarray(image)


def _opaque_but(samples: Samples, color: tuple[int, ...]) -> Samples:
    """RGB with alpha: one colour is transparent, all others are not."""
    with_alpha = np.full((*samples.shape[:2], 4), 65535, np.uint16)
    with_alpha[..., :3] = samples
    with_alpha[(samples == color).all(axis=-1), 3] = 0
    return with_alpha


def read(data: bytes) -> tuple[Samples, bool]:
    """All 16 bits of a file that :func:`has_deep_color` holds true for.

    Pillow can unpack the high bytes, or, as if the file were little-endian, the low ones; two passes give
    both.

    Returns:
        (H, W, 3) or (H, W, 4), and whether the colour is only gray.
    """
    with Image.open(BytesIO(data)) as image:
        raw_mode, transparent = _raw_mode(image), image.info.get("transparency")
    if raw_mode == "LA;16B":
        gray_alpha = _unpack(data, "RGBA").view(">u2").astype(np.uint16)
        return np.take(gray_alpha, [0, 0, 0, 1], axis=-1), True
    high, low = _unpack(data, raw_mode), _unpack(data, raw_mode.replace("16B", "16L"))
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    return (_opaque_but(samples, transparent) if isinstance(transparent, tuple) else samples), False


def _filter(rows: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], step: int) -> bytes:
    """Rows (H, bytes) after PNG's Paeth filter, which suits photographs.

    Args:
        rows: some of the picture's.
        above: (1, bytes), the row before them; zeros where they are the first.
        step: bytes of a pixel.
    """
    value = rows.astype(np.int16)
    up = np.concatenate([above, rows[:-1]]).astype(np.int16)
    left, corner = np.zeros((2, *value.shape), np.int16)
    left[:, step:] = value[:, :-step]
    corner[:, step:] = up[:, :-step]
    guess = left + up - corner
    to_left, to_up, to_corner = (np.abs(guess - other) for other in (left, up, corner))
    nearest = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _PAETH
    filtered[:, 1:] = (value - nearest) & 0xFF
    return filtered.tobytes()


def filtered_bands(samples: Samples) -> Iterator[bytes]:
    """All rows of a picture (H, W, C) after the filter, which takes many times the memory of its rows."""
    height, width, channels = samples.shape
    step = 2 * channels
    at_once = max(1, BAND_BYTES // (width * step))
    above = np.zeros((1, width * step), np.uint8)
    for top in range(0, height, at_once):
        band = samples[top : top + at_once].astype(">u2", order="C")
        rows = band.reshape(len(band), -1).view(np.uint8)
        yield _filter(rows, above, step)
        above = rows[-1:]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _write_pixels(file: BytesIO, samples: Samples) -> None:
    """The chunk with a picture's pixels, packed into the file as they are filtered."""
    start = file.tell()
    file.write(bytes(4) + b"IDAT")  # how long it is comes to light in the end
    packer = zlib.compressobj()
    for band in filtered_bands(samples):
        file.write(packer.compress(band))
    file.write(packer.flush())
    with file.getbuffer() as written:
        written[start : start + 4] = struct.pack(">I", len(written) - start - 8)
        checksum = zlib.crc32(written[start + 4 :])
    file.write(struct.pack(">I", checksum))


def _metadata_chunks(metadata: Metadata) -> bytes:
    chunks = b""
    if metadata.icc_profile is not None:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc_profile))
    if metadata.exif is not None:
        chunks += _chunk(b"eXIf", metadata.exif)
    if metadata.xmp is not None:
        chunks += _chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp)
    return chunks


def write(samples: Samples, metadata: Metadata) -> bytes:
    """A PNG file.

    Args:
        samples: (H, W, C) with 1 (gray), 2 (gray and alpha), 3 or 4 channels, in any order in memory.
        metadata: EXIF, ICC profile and XMP of it are written.
    """
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    file = BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _metadata_chunks(metadata))
    _write_pixels(file, samples)
    file.write(_chunk(b"IEND", b""))
    return file.getvalue()
