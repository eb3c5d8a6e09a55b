"""The size that a picture had before it was coded smaller, in an extension of its file.

Decoders pass over extensions that they do not know, and show the picture at the size that is coded.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from npp.codec.metadata import SIZE_TAG, ImageInfo, Metadata
from npp.recipes.scale import LEAST_FACTOR

_FORMAT = struct.Struct(">II")

#: Bytes by which a file without other extensions grows when it says the size: their length, the tag, its
#: length and what it holds.
SIZE_BYTES = 1 + 4 + 1 + _FORMAT.size


def with_size(metadata: Metadata | None, height: int, width: int) -> Metadata:
    """The metadata with that size; one that was there is replaced."""
    initial = metadata or Metadata()
    others = tuple(extension for extension in initial.extensions if extension[0] != SIZE_TAG)
    return replace(initial, extensions=(*others, (SIZE_TAG, _FORMAT.pack(width, height))))


def size_before(info: ImageInfo) -> tuple[int, int] | None:
    """Height and width before it was coded smaller; ``None`` where the file does not say or says nonsense.

    A file may claim any size. One that no :class:`~npp.recipes.ScaleRule` gives is not believed, so that a
    small file cannot ask for a huge picture.
    """
    data = dict(info.extensions).get(SIZE_TAG)
    if data is None or len(data) != _FORMAT.size:
        return None
    width, height = _FORMAT.unpack(data)
    possible = _possible(info.width, width) and _possible(info.height, height)
    return (height, width) if possible else None


def picture_size(info: ImageInfo) -> tuple[int, int]:
    """Height and width of the picture that a file shows, before it was coded smaller."""
    return size_before(info) or (info.height, info.width)


def bpp_of(file: bytes, info: ImageInfo) -> float:
    """Bits of the whole file for each pixel of all frames, those of a picture before it was coded smaller."""
    height, width = picture_size(info)
    return 8 * len(file) / (width * height * info.frames)


def _possible(coded: int, before: int) -> bool:
    return coded <= before <= (coded + 2) / LEAST_FACTOR
