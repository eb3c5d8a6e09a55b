"""Decoding of one file, and of an animation into a file for each frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from npp.batch.batch_units import BatchDecoder
from npp.batch.file_decoding import DecodeSettings, check_writable, decode_file, kept_metadata
from npp.batch.picture_writing import Rendered, write_still
from npp.cli.file_reports import SKIPPED, WRITTEN, FileReport, in_options
from npp.cli.output_files import Job, WritePolicy, later_frames, must_skip, numbered, write, write_sequence
from npp.codec.decoding import probe
from npp.codec.metadata import ImageInfo


def _missing(targets: list[Path], policy: WritePolicy) -> list[bool]:
    """The files of a sequence that are to be written. Raises OSError if one must not be replaced."""
    return [not must_skip(target, policy) for target in targets]


def _write_sequence(
    targets: list[Path], frames: Iterable[Tensor], render: Callable[[Tensor], Rendered], policy: WritePolicy
) -> list[str]:
    """Writes one file for each frame, all of them or none, and returns notes."""
    notes: list[str] = []

    def rendered() -> Iterator[tuple[Path, bytes]]:
        for target, frame in zip(targets, frames, strict=True):
            data, notes[:] = render(frame)
            yield target, data

    write_sequence(rendered(), policy)
    return notes


def _targets(job: Job, info: ImageInfo) -> list[Path]:
    """The files of a sequence; empty for a job that writes a single file."""
    if job.target is None or not job.is_sequence:
        return []
    return [numbered(job.target, number) for number in range(1, info.frames + 1)]


def _later_notes(target: Path | None, frames: int) -> tuple[str, ...]:
    """Notes about existing files that a reader of the sequence would take for its last frames."""
    later = [] if target is None else later_frames(target, frames)
    if not later:
        return ()
    if len(later) == 1:
        return (f"{later[0].name} was there and stays, though frame {frames} is the last one",)
    names = f"{later[0].name} to {later[-1].name}"
    return (f"{len(later)} files {names} were there and stay, though frame {frames} is the last one",)


def _summary(job: Job, values: dict[str, Any]) -> str:
    frames = f", {values['frames']} frames" if values["frames"] > 1 else ""
    return f"{job.source} -> {job.target_name}: {values['width']}x{values['height']}{frames}"


def _sequence_job(
    job: Job, file: bytes, info: ImageInfo, targets: list[Path], settings: DecodeSettings, policy: WritePolicy
) -> FileReport:
    """Decodes an animation into a sequence of files and returns the report."""
    missing = _missing(targets, policy)
    if not any(missing):
        later = _later_notes(job.target, info.frames)
        return FileReport(str(job.source), job.target_name, SKIPPED, notes=later)
    to_write = settings.for_target(job.target)
    check_writable(info, settings, to_write, as_stills=True)
    decoded = decode_file(file, info, settings)
    metadata, lost = kept_metadata(info, settings)
    notes = lost + _write_sequence(
        list(itertools.compress(targets, missing)),
        itertools.compress(decoded.frames, missing),
        lambda frame: write_still(frame, info, metadata, to_write),
        policy,
    )
    if not all(missing):
        notes.append(f"{missing.count(False)} of {len(targets)} files were there and stay")
    notes += _later_notes(job.target, info.frames)
    values = {**decoded.values(), "outputs": [str(target) for target in targets]}
    return _written(job, (*notes, *decoded.size_notes()), values)


def _written(job: Job, notes: tuple[str, ...], values: dict[str, Any]) -> FileReport:
    notes = tuple(map(in_options, notes))
    return FileReport(str(job.source), job.target_name, WRITTEN, None, notes, values, _summary(job, values))


def decode_job(job: Job, decoder: BatchDecoder, policy: WritePolicy) -> FileReport:
    """Reads, decodes and writes one file. Errors are raised unchanged."""
    file = job.source.read()
    info = probe(file)
    targets = _targets(job, info)
    if targets:
        return _sequence_job(job, file, info, targets, decoder.settings, policy)
    result = decoder.decode(file, job.target)
    assert result.file is not None
    write(job.target, result.file, policy)
    return _written(job, result.notes, dict(result.values))
