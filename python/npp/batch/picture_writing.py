"""Decoded pictures as files of other formats."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import Any, TypeAlias

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
_NO_ALPHA = ("BMP", "JPEG", "PPM")  # of BMP Pillow writes alpha, but no reader takes it for that
_NO_GRAY_ALPHA = ("GIF", "WEBP")
_DEEP_GRAY = ("PPM", "TIFF")
_METADATA = MappingProxyType(
    {
        "PNG": ("exif", "icc_profile", "xmp"),
        "JPEG": ("exif", "icc_profile", "xmp"),
        "WEBP": ("exif", "icc_profile", "xmp"),
        "TIFF": ("icc_profile",),
    }
)

#: A file's bytes, and notes about what could not be kept.
Rendered: TypeAlias = "tuple[bytes, list[str]]"


def format_of(suffix: str) -> str:
    """Pillow's name for the format of a file name's suffix.

    Raises:
        ValueError: none that decoded pictures can be written in; the message lists those.
    """
    try:
        return _FORMATS[suffix.lower()]
    except KeyError:
        raise ValueError(f"{suffix or 'no suffix'}: pictures are written as {' '.join(_FORMATS)}") from None


@dataclass(frozen=True)
class WriteSettings:
    """How pictures are written.

    Attributes:
        format: Pillow's name.
        deep: 16 bits a sample.
        quality: of JPEG, 1 to 100.
    """

    format: str
    deep: bool
    quality: int


def metadata_arguments(format_name: str, metadata: Metadata) -> tuple[dict[str, Any], list[str]]:
    """Pillow's arguments for saving metadata, and what the format has no place for."""
    present = [name for name in ("exif", "icc_profile", "xmp") if getattr(metadata, name) is not None]
    kept = [name for name in present if name in _METADATA.get(format_name, ())]
    arguments: dict[str, Any] = {name: getattr(metadata, name) for name in kept}
    if "exif" in arguments:
        arguments["exif"] = tiff_to_exif(arguments["exif"])
    if "xmp" in arguments and format_name == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", arguments.pop("xmp").decode("utf-8", "replace"))
        arguments["pnginfo"] = text
    lost = [name for name in present if name not in kept]
    return arguments, [f"{', '.join(lost)} left out: {format_name} has no place for it"] if lost else []


def _check_alpha(format_name: str, info: ImageInfo) -> None:
    if info.has_alpha and format_name in _NO_ALPHA:
        raise ValueError(f"the picture has alpha, which {format_name} cannot hold; png, webp and tiff can")


def _check_deep(settings: WriteSettings, channels: int) -> None:
    if not settings.deep:
        return
    if channels != 1:
        raise ValueError(f"colour of 16 bits can only be written as png, not {settings.format}")
    if settings.format not in _DEEP_GRAY:
        raise ValueError(f"gray of 16 bits can only be written as png, tiff or pgm, not {settings.format}")


def to_pictures(frames: Tensor, info: ImageInfo, format_name: str) -> list[Image.Image]:
    """Frames (F, C, H, W) in the modes that a format is to be written from."""
    gray = info.chroma == "400" and format_name not in _NO_GRAY_ALPHA
    return [to_pil(frame, gray=gray) for frame in frames]


def _quality_arguments(settings: WriteSettings) -> dict[str, Any]:
    if settings.format == "JPEG":
        return {"quality": settings.quality, "subsampling": 0}
    return {"lossless": True, "exact": True} if settings.format == "WEBP" else {}


def _deep_png(frame: Tensor, info: ImageInfo, metadata: Metadata) -> bytes:
    samples: png16.Samples = frame.permute(1, 2, 0).contiguous().numpy()
    if info.has_alpha and info.chroma == "400":
        samples = samples[..., [0, 3]]
    return png16.write(samples, metadata)


def write_still(frame: Tensor, info: ImageInfo, metadata: Metadata, settings: WriteSettings) -> Rendered:
    """One picture as a file.

    Args:
        frame: (C, H, W) as decoded; uint16 where ``settings.deep``.
        info: of the BPG file.
        metadata: to take along.
        settings: the format.

    Raises:
        ValueError: the format cannot hold the picture.
    """
    _check_alpha(settings.format, info)
    if settings.deep and settings.format == "PNG":
        return _deep_png(frame, info, metadata), []
    _check_deep(settings, frame.shape[0])
    arguments, notes = metadata_arguments(settings.format, metadata)
    out = BytesIO()
    (picture,) = to_pictures(frame[None], info, settings.format)
    picture.save(out, settings.format, **arguments, **_quality_arguments(settings))
    return out.getvalue(), notes
