"""Encoding of one file, and the report on it."""

from __future__ import annotations

from typing import Any

from npp.batch.batch_units import BatchEncoder
from npp.cli.file_reports import WRITTEN, FileReport
from npp.cli.manifest_record import ManifestRecord
from npp.cli.output_files import Job, WritePolicy, write


def _summary(job: Job, values: dict[str, Any]) -> str:
    quality = f", {values['psnr']:.2f} dB" if values.get("psnr") is not None else ""
    how = "lossless" if values["qp"] is None else f"qp {values['qp']}"
    small = (values.get("coded_width"), values.get("coded_height"))
    smaller = (
        f", {small[0]}x{small[1]}" if small not in ((None, None), (values["width"], values["height"])) else ""
    )
    return (
        f"{job.source} -> {job.target_name}: {values['bytes']} bytes, {values['bpp']:.3f} bpp, "
        f"{how}{smaller}{quality}"
    )


def written(job: Job, notes: tuple[str, ...], values: dict[str, Any]) -> FileReport:
    """The report on a file that was written."""
    return FileReport(str(job.source), job.target_name, WRITTEN, None, notes, values, _summary(job, values))


def encode_job(
    job: Job, encoder: BatchEncoder, policy: WritePolicy, record: ManifestRecord | None = None
) -> FileReport:
    """Reads, encodes and writes one file. Errors are raised unchanged."""
    result = encoder.encode(job.source.read())
    assert result.file is not None
    if record is not None:
        record.made(job, result)  # first, for a file without a row could be anybody's
    write(job.target, result.file, policy)
    return written(job, result.notes, dict(result.values))
