"""Reading of picture files of any format that Pillow reads, for the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

import npp.pillow  # noqa: F401  (BPG files are pictures too)
from npp.batch.outcomes import describe
from npp.batch.stored_bits import bits_left_out, read_as_8_bits
from npp.codec.decoding import probe
from npp.codec.image_inputs import CodecImage, SingleImage, check_frames
from npp.codec.metadata import Metadata, fitting_metadata
from npp.codec.pil_pictures import (
    MOST_SHOWN,
    exif_to_tiff,
    first_shown,
    frames_shown,
    frames_stored,
    has_own_color,
    iterate_frames,
    loop_count_of,
    same_mode,
    seconds_or_default,
)
from npp.photos import png16
from npp.photos.picture_files import has_deep_bpg, open_picture, read_deep_bpg, read_still

#: Suffixes of pictures when a folder is searched; files of Pillow's other formats can be given by name.
PICTURE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("apng", "avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"),
    )
)
_ANIMATED_FORMATS = ("AVIF", "BPG", "GIF", "PNG", "WEBP")
_IDLE_ALPHA_FORMATS = ("GIF", "WEBP")
#: Tags whose values are offsets in the original file; Pillow 11.0 writes the second in another way.
_OFFSETS = (ExifTags.IFD.Interop, 0x927C)
_PNG_HEADER = 8
_WITH_METADATA = (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
#: Tags of a TIFF that describe the picture. Orientation is not among them, for Pillow turns the pixels.
_DESCRIBING = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)


@dataclass(frozen=True)
class Source:
    """A picture or an animation to encode.

    Attributes:
        frames: the pictures, all of one size; a still has one.
        durations: seconds of every frame; ``None`` for a still.
        loop_count: how often an animation is shown, 0 for ever.
        gray: whether the picture is gray, whatever its number of channels.
        metadata: the metadata of the file.
        notes: what could not be kept.
    """

    frames: list[SingleImage]
    durations: list[Fraction] | None
    loop_count: int
    gray: bool
    metadata: Metadata
    notes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        frame = self.frames[0]
        if isinstance(frame, Image.Image):
            return frame.height, frame.width
        height, width = CodecImage(frame, "image").samples.shape[-2:]
        return height, width


def _bytes(value: Any) -> bytes | None:
    """Metadata as bytes, ``None`` if there is none: Pillow gives XMP as text or as bytes."""
    if isinstance(value, str):
        value = value.encode()
    return value if isinstance(value, bytes) and value else None


def _exif(image: Image.Image) -> bytes | None:
    """EXIF as a TIFF structure; of a TIFF only the tags that describe the picture."""
    if image.format == "TIFF":
        return _exif_of_tiff(image)
    exif = _bytes(image.info.get("exif"))
    if exif is None and "Raw profile type exif" in image.info:  # some programs write it as text
        tags = image.getexif()
        exif = tags.tobytes() if tags else None
    return exif_to_tiff(exif)


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    stored, exif = image.getexif(), Image.Exif()
    for tag in _DESCRIBING:
        if tag in stored:
            value = stored[tag]
            exif[tag] = value.encode() if isinstance(value, str) else value  # Pillow would write ASCII
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in stored.get_ifd(directory).items() if tag not in _OFFSETS}
        if values:
            exif[directory] = values
    return exif_to_tiff(exif.tobytes()) if exif else None


def _metadata(image: Image.Image, *, keep: bool) -> tuple[Metadata, list[str]]:
    info, notes = image.info, []
    profile = _bytes(info.get("icc_profile"))
    if has_own_color(image.mode):
        notes.append(f"{image.mode} converted to RGB" + (", its ICC profile left out" if profile else ""))
        profile = None
    if not keep:
        return Metadata(), notes
    exif = None
    try:
        exif = _exif(image)
    except MemoryError:
        raise  # which is not the file's fault
    except Exception as error:  # Pillow may raise anything for damaged EXIF; the picture is good
        notes.append(f"EXIF left out: {describe(error)}")
    xmp = _bytes(info.get("xmp", info.get("XML:com.adobe.xmp")))
    return Metadata(exif=exif, icc_profile=profile, xmp=xmp), notes


def _has_late_metadata(data: bytes) -> bool:
    """Whether a PNG has metadata after its pixels, which Pillow only knows once it has read the pixels."""
    offset, after_pixels = _PNG_HEADER, False
    while offset + 8 <= len(data):
        length, kind = int.from_bytes(data[offset : offset + 4], "big"), data[offset + 4 : offset + 8]
        if after_pixels and kind in _WITH_METADATA:
            return True
        after_pixels = after_pixels or kind == b"IDAT"
        offset += 12 + length
    return False


def _read_metadata(image: Image.Image, data: bytes, *, keep: bool) -> tuple[Metadata, list[str]]:
    if image.format == "BPG":
        metadata, notes = fitting_metadata(probe(data))
        return (metadata if keep else Metadata()), notes
    if keep and image.format == "PNG" and not _is_animation(image) and _has_late_metadata(data):
        with open_picture(data) as twin:  # Pillow would read 16 bits as 8 if it loaded this one
            twin.load()
            return _metadata(twin, keep=keep)
    return _metadata(image, keep=keep)


def _without_idle_alpha(frames: list[Image.Image]) -> list[Image.Image]:
    """Frames without alpha if it is opaque everywhere, for Pillow adds one when it composes frames."""
    if frames[0].mode == "RGBA" and all(frame.getchannel("A").getextrema() == (255, 255) for frame in frames):
        return [frame.convert("RGB") for frame in frames]
    return frames


def _read_frames(image: Image.Image, data: bytes) -> tuple[list[SingleImage], list[Any], bool]:
    """The frames of an animation, the milliseconds that each is shown, and whether it is gray."""
    if has_deep_bpg(image, data):
        pictures, gray = read_deep_bpg(data)
        return list(pictures), [1000 * duration for duration in probe(data).durations], gray
    pairs = list(iterate_frames(image))
    frames = same_mode([picture for picture, _ in pairs])
    if image.format in _IDLE_ALPHA_FORMATS:
        frames = _without_idle_alpha(frames)
    return [*frames], [duration for _, duration in pairs], frames[0].mode in ("L", "LA")


def _animation(image: Image.Image, data: bytes, metadata: Metadata, notes: list[str]) -> Source:
    shown = loop_count_of(image)
    loop_count = min(shown, MOST_SHOWN)
    if shown > loop_count:
        notes = [*notes, f"shown {loop_count} times instead of {shown}: BPG counts no further"]
    check_frames(frames_shown(image), image.height, image.width)
    deep = png16.has_deep_color(image)
    frames, milliseconds, gray = _read_frames(image, data)
    untimed = sum(not value for value in milliseconds)
    if untimed:
        notes = [*notes, f"{untimed} frame(s) without a duration are shown for 0.1 s"]
    if deep:
        notes = [*notes, read_as_8_bits(16)]
    durations = [seconds_or_default(value) for value in milliseconds]
    return Source(frames, durations, loop_count, gray, metadata, tuple(notes))


def _still(image: Image.Image, data: bytes, metadata: Metadata, notes: list[str]) -> Source:
    count, shown = frames_stored(image), first_shown(image)
    if shown and png16.has_deep_color(image):
        notes = [*notes, read_as_8_bits(16)]
    elif count - shown > 1:
        notes = [*notes, f"only the first of {count} pictures"]
    picture, gray = read_still(image, data)
    return Source([picture], None, 0, gray, metadata, tuple(notes))


def _is_animation(image: Image.Image) -> bool:
    # An APNG that shows one frame beside its default image is a still.
    return image.format in _ANIMATED_FORMATS and frames_shown(image) > 1


def read_source(data: bytes, *, keep_metadata: bool) -> Source:
    """Reads a picture file.

    Args:
        data: bytes of the file.
        keep_metadata: whether EXIF, ICC profile and XMP are kept; of BPG files all metadata.

    Raises:
        EncodeError: the picture, or all frames together, exceed the limit on pixels.
        OSError and others that Pillow raises: the file is no picture, or damaged.
    """
    with open_picture(data) as image:
        metadata, notes = _read_metadata(image, data, keep=keep_metadata)
        if (bits := bits_left_out(image, data)) is not None:
            notes.append(read_as_8_bits(bits))
        if _is_animation(image):
            return _animation(image, data, metadata, notes)
        return _still(image, data, metadata, notes)
