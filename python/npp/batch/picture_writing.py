"""Decoded pictures as files of other formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
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
_ANIMATED = ("PNG", "GIF", "WEBP")

# What their fields hold: 16 bits of seconds, 16 of hundredths, 24 of milliseconds.
_LONGEST_SECONDS = {"PNG": Fraction(65535), "GIF": Fraction(65535, 100), "WEBP": Fraction(2**24 - 1, 1000)}
_NO_ALPHA = ("BMP", "JPEG", "PPM")  # of BMP Pillow writes alpha, but no reader takes it for that
_NO_GRAY_ALPHA = ("GIF", "WEBP")
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


def _metadata_arguments(format_name: str, metadata: Metadata) -> tuple[dict[str, Any], list[str]]:
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


def _to_pictures(frames: Tensor, info: ImageInfo, format_name: str) -> list[Image.Image]:
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
    if settings.deep and frame.shape[0] != 1:
        raise ValueError(f"colour of 16 bits can only be written as png, not {settings.format}")
    arguments, notes = _metadata_arguments(settings.format, metadata)
    out = BytesIO()
    (picture,) = _to_pictures(frame[None], info, settings.format)
    picture.save(out, settings.format, **arguments, **_quality_arguments(settings))
    return out.getvalue(), notes


def _whole_units(durations: Sequence[Fraction], unit: Fraction) -> list[int]:
    """Durations in whole units, at least 1 each, whose running sum keeps up with the true one."""
    units: list[int] = []
    end, shown = Fraction(0), 0
    for duration in durations:
        end += duration
        units.append(max(1, round(end / unit) - shown))
        shown += units[-1]
    return units


def _timing_arguments(format_name: str, info: ImageInfo) -> dict[str, Any]:
    longest = max(info.durations)
    if longest > _LONGEST_SECONDS[format_name]:
        raise ValueError(
            f"a frame is shown for {float(longest):g} s; {format_name} allows "
            f"{float(_LONGEST_SECONDS[format_name]):g} s at most: write one file a frame with a name like "
            "frame-%03d.png"
        )
    if format_name == "GIF":
        hundredths = _whole_units(info.durations, Fraction(1, 100))
        # A GIF says how often it is repeated, and nothing when it is shown once.
        loop = {} if info.loop_count == 1 else {"loop": max(0, info.loop_count - 1)}
        return {"duration": [10 * value for value in hundredths], **loop}
    return {"duration": _whole_units(info.durations, Fraction(1, 1000)), "loop": info.loop_count}


def write_animation(frames: Tensor, info: ImageInfo, metadata: Metadata, settings: WriteSettings) -> Rendered:
    """An animation as a file; arguments as in :func:`write_still`, frames (F, C, H, W).

    Raises:
        ValueError: the format has no animations, or none whose frames are shown for so long.
    """
    if settings.format not in _ANIMATED:
        raise ValueError(
            f"an animation of {info.frames} frames; {settings.format} has none: write png, gif or webp, "
            "or one file a frame with a name like frame-%03d.png"
        )
    if settings.deep:
        raise ValueError("16 bits: only as stills; write one file a frame with a name like frame-%03d.png")
    pictures = _to_pictures(frames, info, settings.format)
    arguments, notes = _metadata_arguments(settings.format, metadata)
    arguments |= _timing_arguments(settings.format, info)
    if settings.format == "GIF" and info.has_alpha:
        arguments["disposal"] = 2  # else a frame would show through the next one's transparent pixels
    if settings.format == "WEBP":
        arguments["lossless"] = True
    out = BytesIO()
    pictures[0].save(out, settings.format, save_all=True, append_images=pictures[1:], **arguments)
    return out.getvalue(), notes
