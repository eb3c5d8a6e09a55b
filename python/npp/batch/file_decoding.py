"""Decoding of a BPG file into a picture file of another format."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.batch.animation_writing import check_animation, write_animation
from npp.batch.picture_writing import Rendered, WriteSettings, check_still, format_of_suffix, write_still
from npp.codec.decoding import decode
from npp.codec.metadata import ImageInfo, Metadata, check_pixels, fitting_metadata
from npp.recipes.picture_floats import decoded_for_task
from npp.recipes.recipe import Recipe
from npp.recipes.size_extension import picture_size, size_before
from npp.torch_state import memory_error_names


@dataclass(frozen=True)
class DecodeSettings:
    """The settings with which all files of a batch are decoded.

    Attributes:
        suffix: suffix of the output format, for files without a target.
        bit_depth: 8 or 16 bits a sample in the written file.
        keep_metadata: whether EXIF, ICC profile and XMP are kept.
        quality: JPEG quality.
        restore_size: whether pictures that were coded smaller are enlarged to their original size.
        recipe: a recipe whose restorer is applied; pictures are enlarged too.
    """

    suffix: str = ".png"
    bit_depth: int = 8
    keep_metadata: bool = True
    quality: int = 95
    restore_size: bool = False
    recipe: Recipe | None = None

    def for_target(self, target: Path | None = None) -> WriteSettings:
        """The settings for writing a target."""
        suffix = self.suffix if target is None else target.suffix
        return WriteSettings(format_of_suffix(suffix), self.bit_depth > 8, self.quality)


@dataclass(frozen=True)
class DecodedFile:
    """A BPG file and its pixels.

    Attributes:
        info: the header of the file.
        frames: (F, C, H, W), at the size that the settings ask for.
        seconds: time that decoding took.
    """

    info: ImageInfo
    frames: Tensor
    seconds: float

    def values(self) -> dict[str, Any]:
        """The fields of the report about the file."""
        height, width = self.frames.shape[-2:]
        return {"width": width, "height": height, "frames": self.info.frames, "seconds": self.seconds}

    def size_notes(self) -> list[str]:
        """A note that the picture was larger before it was coded, if it is not enlarged; else none."""
        before = size_before(self.info)
        if before is None or before[1] == self.frames.shape[-1]:
            return []
        size = f"{before[1]}x{before[0]}"
        return [f"was {size} before it was coded smaller: restore_size=True brings that back"]


def check_writable(
    info: ImageInfo, settings: DecodeSettings, to_write: WriteSettings, *, as_stills: bool = False
) -> None:
    """Raises ValueError unless a format can hold the decoded file; called before anything is decoded.

    Args:
        info: header of the BPG file.
        settings: they say whether the picture is enlarged to its original size.
        to_write: the format.
        as_stills: whether every frame is written as a picture of its own.
    """
    enlarges = settings.restore_size or settings.recipe is not None
    size = picture_size(info) if enlarges else (info.height, info.width)
    check = check_still if as_stills or info.frames == 1 else check_animation
    check(info, to_write, *size)


def decode_file(file: bytes, info: ImageInfo, settings: DecodeSettings) -> DecodedFile:
    """Decodes a file.

    Args:
        file: a BPG file.
        info: its header.
        settings: settings of the decoder.

    Raises:
        ValueError: the file is damaged, or has more pixels than the limit.
        MemoryError: memory ran out; the message names the step and the size of the picture.
    """
    check_pixels(info)
    start = time.perf_counter()
    with memory_error_names("decoding", info.height, info.width):
        pixels = decode(file, dtype=torch.uint16 if settings.bit_depth > 8 else torch.uint8, threads=1)
        recipe = settings.recipe
        if recipe is not None or settings.restore_size:
            pixels = decoded_for_task(pixels, file, None if recipe is None else recipe.restorer)
    frames = pixels if pixels.ndim == 4 else pixels[None]
    return DecodedFile(info, frames, time.perf_counter() - start)


def kept_metadata(info: ImageInfo, settings: DecodeSettings) -> tuple[Metadata, list[str]]:
    """The metadata to keep, and notes about what does not fit the decoded pixels."""
    metadata, lost = fitting_metadata(info)
    return metadata if settings.keep_metadata else Metadata(), lost


def render(decoded: DecodedFile, settings: DecodeSettings, to_write: WriteSettings) -> Rendered:
    """A still or an animation as one file.

    Args:
        decoded: the decoded file.
        settings: they say whether metadata is kept.
        to_write: the format.

    Raises:
        ValueError: the format cannot hold it.
    """
    info, frames = decoded.info, decoded.frames
    metadata, lost = kept_metadata(info, settings)
    with memory_error_names("writing", frames.shape[-2], frames.shape[-1]):
        if info.frames > 1:
            file, notes = write_animation(frames, info, metadata, to_write)
        else:
            file, notes = write_still(frames[0], info, metadata, to_write)
    return file, [*lost, *notes]
