"""Encoding of one file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from npp._cli.outputs import Job, WritePolicy, write
from npp._cli.quality import measure
from npp._cli.reading import Source, read_source
from npp._cli.refining import refine_frame
from npp._cli.reports import WRITTEN, FileReport
from npp.codec import encode, encode_animation, probe
from npp.errors import EncodeError
from npp.metadata import ImageInfo
from npp.views import VIEWS

DEFAULT_QP = 29
_WORST_QP = 51


@dataclass(frozen=True)
class EncodeSettings:
    """What the command line asks of the encoder.

    Attributes:
        qp: quantiser; ``None`` with a target or lossless.
        target_bpp: bits for each pixel of all frames that the file may have at most.
        options: codec options.
        keep_metadata: take EXIF, ICC profile and XMP along.
        measure: decode the file and report PSNR.
        refine: a network's file, see :mod:`npp._cli.refining`; the pixels of stills are refined for it.
        views: the network must keep what it sees in :data:`npp.VIEWS` of a picture too.
    """

    qp: int | None
    target_bpp: float | None
    options: dict[str, Any]
    keep_metadata: bool
    measure: bool
    refine: str | None = None
    views: bool = True


def bpp_of(file: bytes, info: ImageInfo) -> float:
    """Bits of the whole file for each pixel of all frames."""
    return 8 * len(file) / (info.width * info.height * info.frames)


def _encode(source: Source, qp: int, settings: EncodeSettings) -> bytes:
    options = {**settings.options, "chroma": "400"} if source.gray else settings.options
    if source.durations is None:
        frame = source.frames[0]
        if settings.refine is not None:
            frame = refine_frame(frame, qp, settings.refine, options, VIEWS if settings.views else ())
        return encode(frame, qp, metadata=source.metadata, threads=1, errors="raise", **options)
    return encode_animation(
        source.frames,
        qp,
        durations=source.durations,
        loop_count=source.loop_count,
        metadata=source.metadata,
        **options,
    )


def smallest_qp(target: float, encode_at: Callable[[int], tuple[bytes, float]]) -> tuple[int, bytes]:
    """The smallest qp whose file is not above a target, found by halving the range of qps.

    Args:
        target: bpp.
        encode_at: a qp's file and bpp.

    Raises:
        EncodeError: even qp 51 is above the target.
    """
    file, bpp = encode_at(_WORST_QP)
    if bpp > target:
        raise EncodeError(f"target_bpp is {target:g}, but qp {_WORST_QP} needs {bpp:.4g} already")
    low, best = 0, (_WORST_QP, file)
    while low < best[0]:
        middle = (low + best[0]) // 2
        file, bpp = encode_at(middle)
        if bpp <= target:
            best = (middle, file)
        else:
            low = middle + 1
    return best


def _encode_to_settings(source: Source, settings: EncodeSettings) -> tuple[int | None, bytes]:
    if settings.options.get("lossless"):
        return None, _encode(source, DEFAULT_QP, settings)
    if settings.target_bpp is None:
        qp = DEFAULT_QP if settings.qp is None else settings.qp
        return qp, _encode(source, qp, settings)

    def encode_at(qp: int) -> tuple[bytes, float]:
        file = _encode(source, qp, settings)
        return file, bpp_of(file, probe(file))

    return smallest_qp(settings.target_bpp, encode_at)


def _summary(job: Job, values: dict[str, Any]) -> str:
    quality = f", {values['psnr']:.2f} dB" if values.get("psnr") is not None else ""
    how = "lossless" if values["qp"] is None else f"qp {values['qp']}"
    return (
        f"{job.source} -> {job.target_name}: {values['bytes']} bytes, {values['bpp']:.3f} bpp, {how}{quality}"
    )


def encode_job(job: Job, settings: EncodeSettings, policy: WritePolicy) -> FileReport:
    """Reads, encodes and writes one file. Raises whatever goes wrong."""
    source = read_source(job.source.read(), keep_metadata=settings.keep_metadata)
    start = time.perf_counter()
    qp, file = _encode_to_settings(source, settings)
    elapsed = time.perf_counter() - start
    info = probe(file)
    values: dict[str, Any] = {
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "qp": qp,
        "bytes": len(file),
        "bpp": bpp_of(file, info),
        "seconds": elapsed,
    }
    if settings.measure:
        values |= measure(source.frames, file, bit_depth=info.bit_depth)
    write(job.target, file, policy)
    return FileReport(
        str(job.source), job.target_name, WRITTEN, None, source.notes, values, _summary(job, values)
    )
