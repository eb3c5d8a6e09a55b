"""PNG with 16 bits a sample in colour: Pillow itself keeps only eight of them.

Written from the PNG specification (ISO/IEC 15948).
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from npp.codec.metadata import Metadata

Samples: TypeAlias = npt.NDArray[np.uint16]
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_PAETH = 4
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
    alpha = np.where((samples == color).all(axis=-1), 0, 65535).astype(np.uint16)
    return np.dstack([samples, alpha])


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
        four = _unpack(data, "RGBA").astype(np.uint16)  # gray high, gray low, alpha high, alpha low
        gray, alpha = four[..., 0] << 8 | four[..., 1], four[..., 2] << 8 | four[..., 3]
        return np.dstack([gray, gray, gray, alpha]), True
    high = _unpack(data, raw_mode).astype(np.uint16)
    low = _unpack(data, raw_mode.replace("16B", "16L"))
    samples = (high << 8 | low).astype(np.uint16)
    return (_opaque_but(samples, transparent) if isinstance(transparent, tuple) else samples), False


def _filter(rows: npt.NDArray[np.uint8], step: int) -> bytes:
    """Rows (H, bytes) after PNG's Paeth filter, which suits photographs."""
    value = rows.astype(np.int16)
    left, up, corner = np.zeros((3, *value.shape), np.int16)
    left[:, step:] = value[:, :-step]
    up[1:] = value[:-1]
    corner[1:, step:] = value[:-1, :-step]
    guess = left + up - corner
    to_left, to_up, to_corner = (np.abs(guess - other) for other in (left, up, corner))
    nearest = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _PAETH
    filtered[:, 1:] = (value - nearest) & 0xFF
    return filtered.tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


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
        samples: (H, W, C) with 1 (gray), 2 (gray and alpha), 3 or 4 channels.
        metadata: EXIF, ICC profile and XMP of it are written.
    """
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _metadata_chunks(metadata),
            _chunk(b"IDAT", zlib.compress(_filter(rows, 2 * channels))),
            _chunk(b"IEND", b""),
        ]
    )
