"""Writing of decoded pictures as files of other formats."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from npp.codec.metadata import ImageInfo, Metadata
from npp.codec.pil_pictures import tiff_to_exif, to_pil
from npp.photos import png16

_FORMATS = MappingProxyType(
    {
        ".apng": "PNG",
        ".bmp": "BMP",
        ".gif": "GIF",
        ".jpeg": "JPEG",
        ".jpg": "JPEG",
        ".pgm": "PPM",
        ".png": "PNG",
        ".pnm": "PPM",
        ".ppm": "PPM",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        ".webp": "WEBP",
    }
)
#: The longest side in pixels, by Pillow's name of the format; other formats hold every BPG picture.
LONGEST_SIDES = MappingProxyType({"GIF": 65_535, "JPEG": 65_500, "WEBP": 16_383})
_NO_ALPHA = ("BMP", "JPEG", "PPM")  # Pillow writes alpha into BMP, but readers do not take it for alpha
_NO_GRAY_ALPHA = ("GIF", "WEBP")
_DEEP_GRAY = ("PPM", "TIFF")
_MAIN = ("exif", "icc_profile", "xmp")
_ALL_METADATA = (*_MAIN, "thumbnail", "extensions")
_METADATA = MappingProxyType({"PNG": _MAIN, "JPEG": _MAIN, "WEBP": _MAIN, "TIFF": ("icc_profile",)})
_SEGMENT = 65_533  # bytes in a segment of a JPEG, its name included
#: Only profiles may take several segments, whose number is stored in a byte.
_MOST_BYTES = MappingProxyType(
    {
        "JPEG": MappingProxyType(
            {
                "exif": _SEGMENT - len(b"Exif\0\0"),
                "icc_profile": 255 * (_SEGMENT - len(b"ICC_PROFILE\0nm")),
                "xmp": _SEGMENT - len(b"http://ns.adobe.com/xap/1.0/\0"),
            }
        )
    }
)
#: First bytes of XML that is not UTF-8. Longer marks come first, for they begin with shorter ones.
_XMP_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(r"^(\ufeff?<\?xml[^>]*?)\s+encoding\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_OPAQUE_FROM = 128  # the least alpha of a pixel that is opaque in a GIF

#: Bytes of a file, and notes about what could not be kept.
Rendered: TypeAlias = tuple[bytes, list[str]]


def format_of_suffix(suffix: str) -> str:
    """Pillow's name of the format that a suffix stands for.

    Raises:
        ValueError: pictures cannot be written in this format; the message lists the suffixes.
    """
    try:
        return _FORMATS[suffix.lower()]
    except KeyError:
        raise ValueError(f"{suffix or 'no suffix'}: pictures are written as {' '.join(_FORMATS)}") from None


@dataclass(frozen=True)
class WriteSettings:
    """How pictures are written.

    Attributes:
        format: Pillow's name of the format.
        deep: whether samples have 16 bits.
        quality: JPEG quality, 1 to 100.
    """

    format: str
    deep: bool
    quality: int


def _in_utf8(xmp: bytes) -> bytes | None:
    """XMP as UTF-8, which PNG needs; ``None`` if its encoding is unknown."""
    encoding = next((name for start, name in _XMP_ENCODINGS if xmp.startswith(start)), "utf-8")
    try:
        # A declaration of the former encoding would no longer be true.
        return _DECLARED.sub(r"\1", xmp.decode(encoding), count=1).encode()
    except UnicodeError:
        return None


def storable_metadata(format_name: str, metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata that a format can store, and notes about what is left out."""
    present = {name: getattr(metadata, name) for name in _ALL_METADATA if getattr(metadata, name)}
    kept = {name: value for name, value in present.items() if name in _METADATA.get(format_name, ())}
    lost = [name for name in present if name not in kept]
    notes = [f"{', '.join(lost)} left out: {format_name} has no place for it"] if lost else []
    for name, limit in _MOST_BYTES.get(format_name, {}).items():
        if len(kept.get(name, b"")) > limit:
            size = len(kept.pop(name))
            notes.append(f"{name} left out: it has {size:,} bytes, and {format_name} has room for {limit:,}")
    if format_name == "PNG" and "xmp" in kept:
        kept["xmp"] = _in_utf8(kept["xmp"])
        if kept["xmp"] is None:
            notes.append("xmp left out: it is not UTF-8, which PNG needs, and does not say what else it is")
    return Metadata(**kept), notes


def metadata_arguments(format_name: str, metadata: Metadata) -> tuple[dict[str, Any], list[str]]:
    """Pillow's arguments for saving metadata, and notes about what is left out."""
    kept, notes = storable_metadata(format_name, metadata)
    arguments: dict[str, Any] = {name: value for name in _MAIN if (value := getattr(kept, name)) is not None}
    if "exif" in arguments:
        arguments["exif"] = tiff_to_exif(arguments["exif"])
    if "xmp" in arguments and format_name == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", arguments.pop("xmp").decode())
        arguments["pnginfo"] = text
    return arguments, notes


def whole_alpha(frames: Tensor) -> tuple[Tensor, list[str]]:
    """Frames whose pixels are fully transparent or opaque, as a GIF needs them.

    Args:
        frames: (F, C, H, W) uint8, with alpha where C is 4.

    Returns:
        The frames with alpha 0 or 255, transparent pixels black so that they take one colour of the palette;
        and a note if an alpha was neither.
    """
    if frames.shape[1] < 4:
        return frames, []
    alpha = frames[:, 3:]
    opaque = alpha >= _OPAQUE_FROM
    binary = torch.cat([frames[:, :3] * opaque, opaque.to(torch.uint8) * 255], 1)
    if not ((alpha > 0) & (alpha < 255)).any():
        return binary, []
    threshold = f"from alpha {_OPAQUE_FROM} on they are opaque in the GIF, below that transparent"
    return binary, [f"partly transparent pixels: {threshold}"]


def _check_alpha(format_name: str, info: ImageInfo) -> None:
    if info.has_alpha and format_name in _NO_ALPHA:
        raise ValueError(f"the picture has alpha, which {format_name} cannot hold; png, webp and tiff can")


def _check_deep(settings: WriteSettings, channels: int) -> None:
    if not settings.deep or settings.format == "PNG":
        return
    if channels != 1:
        raise ValueError(f"colour of 16 bits can only be written as png, not {settings.format}")
    if settings.format not in _DEEP_GRAY:
        raise ValueError(f"gray of 16 bits can only be written as png, tiff or pgm, not {settings.format}")


def check_sides(format_name: str, height: int, width: int, instead: str) -> None:
    """Raises ValueError unless a format can hold a picture of this size.

    Args:
        format_name: Pillow's name of the format.
        height, width: size of the written picture in pixels.
        instead: the formats that can hold it, for the message.
    """
    longest = LONGEST_SIDES.get(format_name)
    if longest is not None and max(height, width) > longest:
        raise ValueError(
            f"the picture is {width}x{height}; {format_name} allows {longest} pixels a side: write {instead}"
        )


def check_still(info: ImageInfo, settings: WriteSettings, height: int, width: int) -> None:
    """Raises ValueError unless a format can hold a single picture of a file.

    Args:
        info: header of the BPG file.
        settings: the format.
        height, width: size in pixels of the written picture, which may be larger than the coded one.
    """
    _check_alpha(settings.format, info)
    _check_deep(settings, info.channels)
    check_sides(settings.format, height, width, "png or tiff")


def to_pictures(frames: Tensor, info: ImageInfo, format_name: str) -> list[Image.Image]:
    """Frames (F, C, H, W) as Pillow's pictures, in the mode that the format is written from."""
    gray = info.chroma == "400" and format_name not in _NO_GRAY_ALPHA
    return [to_pil(frame, gray=gray) for frame in frames]


def _quality_arguments(settings: WriteSettings) -> dict[str, Any]:
    if settings.format == "JPEG":
        return {"quality": settings.quality, "subsampling": 0}
    return {"lossless": True, "exact": True} if settings.format == "WEBP" else {}


def _deep_png(frame: Tensor, info: ImageInfo, metadata: Metadata) -> bytes:
    samples: png16.Samples = frame.permute(1, 2, 0).numpy()
    if info.has_alpha and info.chroma == "400":
        samples = samples[..., ::3]  # the first of three that are equal, and alpha
    return png16.write(samples, metadata)


def write_still(frame: Tensor, info: ImageInfo, metadata: Metadata, settings: WriteSettings) -> Rendered:
    """One picture as a file.

    Args:
        frame: (C, H, W) as decoded; uint16 if ``settings.deep``.
        info: header of the BPG file.
        metadata: the metadata to keep.
        settings: the format.

    Raises:
        ValueError: the format cannot hold the picture.
    """
    check_still(info, settings, frame.shape[-2], frame.shape[-1])
    if settings.deep and settings.format == "PNG":
        fitting, notes = storable_metadata(settings.format, metadata)
        return _deep_png(frame, info, fitting), notes
    arguments, notes = metadata_arguments(settings.format, metadata)
    frames = frame[None]
    if settings.format == "GIF":
        frames, cut = whole_alpha(frames)
        notes += cut
    out = BytesIO()
    (picture,) = to_pictures(frames, info, settings.format)
    picture.save(out, settings.format, **arguments, **_quality_arguments(settings))
    return out.getvalue(), notes
