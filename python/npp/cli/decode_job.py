"""Decoding of one file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npp.cli.file_reports import SKIPPED, WRITTEN, FileReport
from npp.cli.output_files import Job, WritePolicy, must_skip, numbered, write
from npp.cli.picture_writing import Rendered, WriteSettings, format_of, write_animation, write_still
from npp.codec.decoding import decode, probe
from npp.codec.metadata import ImageInfo, Metadata, check_pixels
from npp.recipes.picture_floats import restored
from npp.recipes.size_extension import size_before


@dataclass(frozen=True)
class DecodeSettings:
    """What the command line asks of the decoder.

    Attributes:
        suffix: the format on standard output.
        bit_depth: 8 or 16 bits a sample in the written file.
        keep_metadata: take EXIF, ICC profile and XMP along.
        quality: of JPEG.
        restore_size: enlarge pictures that were coded smaller to the size that they had.
    """

    suffix: str
    bit_depth: int
    keep_metadata: bool
    quality: int
    restore_size: bool = False

    def for_target(self, target: Path | None) -> WriteSettings:
        """How a target is to be written."""
        suffix = self.suffix if target is None else target.suffix
        return WriteSettings(format_of(suffix), self.bit_depth > 8, self.quality)


def _decode(file: bytes, settings: DecodeSettings) -> Tensor:
    """Frames (F, C, H, W)."""
    pixels = decode(file, dtype=torch.uint16 if settings.bit_depth > 8 else torch.uint8, threads=1)
    if settings.restore_size:
        pixels = restored(pixels, file)
    return pixels if pixels.ndim == 4 else pixels[None]


def _existing(targets: list[Path], policy: WritePolicy) -> bool:
    """Whether a whole sequence is there and is to be left alone. OSError if one of it must not be written."""
    if policy.skip_existing and all(target.is_file() for target in targets):
        return True
    for target in targets:
        must_skip(target, WritePolicy(force=policy.force))
    return False


def _write_sequence(
    targets: list[Path], frames: Tensor, render: Callable[[Tensor], Rendered], policy: WritePolicy
) -> list[str]:
    """One file for each frame, all of them or none; gives notes."""
    written: list[Path] = []
    notes: list[str] = []
    try:
        for target, frame in zip(targets, frames, strict=True):
            data, notes = render(frame)
            write(target, data, policy)
            written.append(target)
    except BaseException:
        for target in written:
            target.unlink(missing_ok=True)
        raise
    return notes


def _targets(job: Job, info: ImageInfo) -> list[Path]:
    """The files of a sequence, none for a job that writes one file."""
    if job.target is None or not job.is_sequence:
        return []
    return [numbered(job.target, number) for number in range(1, info.frames + 1)]


def _write_one(
    job: Job,
    frames: Tensor,
    info: ImageInfo,
    metadata: Metadata,
    settings: WriteSettings,
    policy: WritePolicy,
) -> list[str]:
    """A still or an animation as one file; gives notes."""
    if info.frames > 1:
        data, notes = write_animation(frames, info, metadata, settings)
    else:
        data, notes = write_still(frames[0], info, metadata, settings)
    write(job.target, data, policy)
    return notes


def _summary(job: Job, values: dict[str, Any]) -> str:
    frames = f", {values['frames']} frames" if values["frames"] > 1 else ""
    return f"{job.source} -> {job.target_name}: {values['width']}x{values['height']}{frames}"


def _size_note(info: ImageInfo, width: int) -> list[str]:
    """Says that a picture was larger, where it is left as it was coded."""
    before = size_before(info)
    if before is None or before[1] == width:
        return []
    return [f"was {before[1]}x{before[0]} before it was coded smaller: --restore-size brings that back"]


def decode_job(job: Job, settings: DecodeSettings, policy: WritePolicy) -> FileReport:
    """Reads, decodes and writes one file. Raises whatever goes wrong."""
    file = job.source.read()
    info = probe(file)
    targets = _targets(job, info)
    if targets and _existing(targets, policy):
        return FileReport(str(job.source), job.target_name, SKIPPED)
    check_pixels(info)
    start = time.perf_counter()
    frames = _decode(file, settings)
    values: dict[str, Any] = {
        "width": frames.shape[-1],
        "height": frames.shape[-2],
        "frames": info.frames,
        "seconds": time.perf_counter() - start,
    }
    metadata = info.metadata if settings.keep_metadata else Metadata()
    to_write = settings.for_target(job.target)
    if targets:
        values["outputs"] = [str(target) for target in targets]
        notes = _write_sequence(
            targets, frames, lambda frame: write_still(frame, info, metadata, to_write), policy
        )
    else:
        notes = _write_one(job, frames, info, metadata, to_write, policy)
    notes = [*notes, *_size_note(info, frames.shape[-1])]
    return FileReport(
        str(job.source), job.target_name, WRITTEN, None, tuple(notes), values, _summary(job, values)
    )
