"""What a BPG file says about its picture, beside the pixels."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import npp._bpg as _bpg
from npp._bpg import DecodeError
from npp.checks import is_int
from npp.codec.limits import get_max_pixels, why_too_large
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES, Chroma, ColorSpace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image
    from typing_extensions import Buffer

_TAGS = MappingProxyType({"exif": 1, "icc_profile": 2, "xmp": 3, "thumbnail": 4})
_ANIMATION_CONTROL = 5
#: "npp" as a number: the size that the picture had before it was coded smaller (npp.recipes).
SIZE_TAG = int.from_bytes(b"npp", "big")
_TIFF_HEADERS = (b"II*\0", b"MM\0*")
# Before the TIFF header stands Exif\0\0 in JPEG files, one byte too many in files of bpgenc 0.9.1 to 0.9.7.
_MOST_BEFORE_TIFF = 8


def tiff_structure(exif: bytes) -> bytes:
    """EXIF data from its TIFF header on; unchanged where there is no header near its beginning."""
    offsets = [exif.find(header, 0, _MOST_BEFORE_TIFF + len(header)) for header in _TIFF_HEADERS]
    return exif[min((offset for offset in offsets if offset >= 0), default=0) :]


def _pillow_exif() -> type[Image.Exif]:
    """Imported where it is asked for: `npp info` does without Pillow."""
    import PIL.Image

    return PIL.Image.Exif


def _as_bytes(name: str, value: Any) -> bytes:
    """The bytes of anything that holds bytes: bytearray, memoryview, mmap, array of uint8."""
    if isinstance(value, bytes):
        return value
    with suppress(TypeError):  # no buffer at all
        view = memoryview(value)
        if view.format == "B":
            return view.tobytes()
    if name == "exif" and isinstance(value, _pillow_exif()):
        return bytes(value.tobytes())
    raise TypeError(f"{name} must be bytes or None, not {type(value).__name__}")


def _pairs(extensions: Any) -> tuple[tuple[Any, Any], ...]:
    try:
        return tuple((tag, data) for tag, data in extensions)
    except (TypeError, ValueError):
        raise TypeError(f"extensions must be pairs (tag, data), not {extensions!r:.200}") from None


@dataclass(frozen=True)
class Metadata:
    """Metadata to write into a file, or found in one. All of it is kept byte for byte, but for EXIF's prefix.

    Attributes:
        exif: EXIF, as a TIFF structure or Pillow's ``Image.Exif``. What stands before that, ``Exif\\0\\0``
            or the surplus byte of old bpgenc, is left out.
        icc_profile: ICC colour profile.
        xmp: XMP packet.
        thumbnail: a small picture, itself a BPG file.
        extensions: other extensions as (tag, data); tag 6 or above, below 2**32.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    thumbnail: bytes | None = None
    extensions: tuple[tuple[int, bytes], ...] = field(default=())

    if TYPE_CHECKING:  # more is taken than is kept

        def __init__(
            self,
            exif: Buffer | Image.Exif | None = None,
            icc_profile: Buffer | None = None,
            xmp: Buffer | None = None,
            thumbnail: Buffer | None = None,
            extensions: Iterable[tuple[int, bytes]] = (),
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in _TAGS:
            value = getattr(self, name)
            if value is not None:
                data = _as_bytes(name, value)
                object.__setattr__(self, name, tiff_structure(data) if name == "exif" else data)
        object.__setattr__(self, "extensions", _pairs(self.extensions))
        for tag, data in self.extensions:
            if not is_int(tag) or not _ANIMATION_CONTROL < tag < 2**32:
                raise ValueError(f"extensions: tag must be an integer from 6 to 2**32 - 1, not {tag!r}")
            if not isinstance(data, bytes):
                raise TypeError(f"extensions: data of tag {tag} must be bytes, not {type(data).__name__}")

    def to_extensions(self) -> list[tuple[int, bytes]]:
        """The extensions as (tag, data) pairs in the order in which they are written."""
        named = [(tag, getattr(self, name)) for name, tag in _TAGS.items()]
        return [(tag, data) for tag, data in named if data is not None] + list(self.extensions)

    @classmethod
    def from_extensions(cls, extensions: tuple[tuple[int, bytes], ...]) -> Metadata:
        """Metadata from (tag, data) pairs, without those that describe this file alone, such as its size."""
        by_tag = dict(reversed(extensions))
        named = {name: by_tag.get(tag) for name, tag in _TAGS.items()}
        others = tuple(
            (tag, data) for tag, data in extensions if tag > _ANIMATION_CONTROL and tag != SIZE_TAG
        )
        return cls(**named, extensions=others)


def check_metadata(metadata: object) -> None:
    """Raises TypeError for what is neither metadata nor None."""
    if metadata is not None and not isinstance(metadata, Metadata):
        raise TypeError(f"metadata must be npp.Metadata or None, not {type(metadata).__name__}")


def extensions_of(metadata: Metadata | None) -> list[tuple[int, bytes]]:
    """The extensions of metadata as (tag, data) pairs; none for ``None``.

    Raises:
        TypeError: it is neither metadata nor None.
    """
    check_metadata(metadata)
    return [] if metadata is None else metadata.to_extensions()


@dataclass(frozen=True)
class ImageInfo:
    """The properties of a file that :func:`npp.probe` reads without decoding it.

    Attributes:
        width, height: in pixels.
        chroma: ``"400"``, ``"420"``, ``"422"``, ``"444"``, ``"420_mpeg2"`` or ``"422_mpeg2"``.
        color_space: ``"ycbcr"`` (BT.601), ``"rgb"``, ``"ycgco"``, ``"ycbcr_bt709"`` or ``"ycbcr_bt2020"``.
        bit_depth: bits a sample, 8 to 14.
        limited_range: video range instead of full range.
        has_alpha, premultiplied: an alpha plane, and whether colour is multiplied by it.
        has_w: the fourth plane is W = 1 - K of a CMYK picture.
        animation: several frames are shown one after another.
        frames: their number, 1 for a still.
        loop_count: how often an animation is shown, 0 for ever (and for a still).
        durations: seconds that each frame is shown; one zero for a still.
        extensions: (tag, data) of every extension, in file order.
        block_qps: whether blocks may have QPs of their own; :func:`npp.decode_qp_map` reads them.
    """

    width: int
    height: int
    chroma: Chroma
    color_space: ColorSpace
    bit_depth: int
    limited_range: bool
    has_alpha: bool
    premultiplied: bool
    has_w: bool
    animation: bool
    frames: int
    loop_count: int
    durations: tuple[Fraction, ...]
    extensions: tuple[tuple[int, bytes], ...]
    block_qps: bool

    @property
    def pixel_format(self) -> int:
        """The chroma format as the number that stands in the file."""
        return CHROMA_NAMES.index(self.chroma)

    @property
    def channels(self) -> int:
        """The number of channels that decoding gives: 1 for gray, 3 for colour, 4 with alpha (gray too)."""
        if self.has_alpha:
            return 4
        return 1 if self.chroma == "400" and not self.has_w else 3

    @property
    def metadata(self) -> Metadata:
        """EXIF, ICC profile, XMP, thumbnail and unknown extensions; no size that the picture had before."""
        return Metadata.from_extensions(self.extensions)


def image_info(data: bytes) -> ImageInfo:
    """Reads header, extensions and frame durations of a file. Raises DecodeError."""
    header = _bpg.probe(data)
    animation = header["animation"]
    period = Fraction(*header["period"]) if animation else Fraction(0)
    # Frames share their few different durations: a file of many tiny frames stays cheap to look at.
    durations = {ticks: ticks * period for ticks in set(header["ticks"])}
    return ImageInfo(
        width=header["width"],
        height=header["height"],
        chroma=CHROMA_NAMES[header["pixel_format"]],
        color_space=COLOR_SPACE_NAMES[header["color_space"]],
        bit_depth=header["bit_depth"],
        limited_range=header["limited_range"],
        has_alpha=header["has_alpha"],
        premultiplied=header["premultiplied"],
        has_w=header["has_w"],
        animation=animation,
        frames=len(header["ticks"]),
        loop_count=header["loop_count"],
        durations=tuple(durations[ticks] for ticks in header["ticks"]),
        extensions=tuple(header["extensions"]),
        block_qps=header["block_qps"],
    )


def block_quantisers(data: bytes, **block_size: int) -> npt.NDArray[np.int32]:
    """The QPs of a file's blocks as an array, see :func:`npp.decode_qp_map`; by default on the maps' grid."""
    return _bpg.decode_qp_map(data, get_max_pixels(), **block_size)


def fitting_metadata(info: ImageInfo) -> tuple[Metadata, list[str]]:
    """Metadata that fits the pixels as they are decoded, and notes about what does not.

    CMYK is decoded to RGB, which the file's ICC profile says nothing about.
    """
    metadata = info.metadata
    if not info.has_w:
        return metadata, []
    lost = "" if metadata.icc_profile is None else ", its ICC profile left out"
    return replace(metadata, icc_profile=None), [f"CMYK read as RGB{lost}"]


def check_pixels(info: ImageInfo) -> None:
    """Raises DecodeError where all frames together are above the limit on pixels."""
    if (why := why_too_large(info.frames, info.width, info.height)) is not None:
        raise DecodeError(why)


def first_frame(data: bytes) -> bytes:
    """An animation's file as the file of a still, its first frame; a still's as it is.

    The flag that makes an animation is the lowest bit of the sixth byte. Decoders take the first picture of a
    file without it and leave the others alone.
    """
    return data[:5] + bytes([data[5] & 0xFE]) + data[6:]
