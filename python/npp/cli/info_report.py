"""Reports on the headers of BPG files, for people and as JSON; made without torch and typer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from npp.batch.outcomes import describe, single_line
from npp.cli.exit_codes import OK, SOME_FAILED
from npp.cli.file_reports import print_report
from npp.cli.input_files import Input, find_inputs
from npp.cli.streams import say, write_output
from npp.codec.metadata import SIZE_TAG, ImageInfo, block_quantisers, image_info
from npp.photos.finding import BPG_SUFFIXES
from npp.recipes.size_extension import bpp_of, size_before

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_EXTENSION_NAMES = {
    1: "EXIF",
    2: "ICC profile",
    3: "XMP",
    4: "thumbnail",
    5: "animation control",
    SIZE_TAG: "npp size",
}
_FIELDS = (
    "width",
    "height",
    "chroma",
    "color_space",
    "bit_depth",
    "limited_range",
    "has_alpha",
    "premultiplied",
    "has_w",
    "animation",
    "frames",
    "loop_count",
    "block_qps",
)


@dataclass(frozen=True)
class _FileInfo:
    """A file and its header.

    Attributes:
        qps: the QPs of its blocks; ``None`` if it has a single QP, or if they cannot be read.
        qps_error: the reason why they cannot be read.
    """

    file: Input
    data: bytes
    info: ImageInfo
    qps: npt.NDArray[np.int32] | None
    qps_error: str | None


def _read(file: Input) -> _FileInfo:
    data = file.read()
    info = image_info(data)
    if not info.block_qps:
        return _FileInfo(file, data, info, None, None)
    try:
        return _FileInfo(file, data, info, block_quantisers(data), None)
    except ValueError as error:  # animations, 14 bits, damage after the headers
        return _FileInfo(file, data, info, None, describe(error))


def info_as_json(file_info: _FileInfo) -> dict[str, Any]:
    """The result of :func:`npp.probe`, durations as [numerator, denominator] seconds, and QPs of blocks."""
    info, qps, before = file_info.info, file_info.qps, size_before(file_info.info)
    return {
        "file": str(file_info.file),
        **{name: getattr(info, name) for name in _FIELDS},
        "durations": [[duration.numerator, duration.denominator] for duration in info.durations],
        "extensions": [[tag, len(content)] for tag, content in info.extensions],
        "qp_min": None if qps is None else int(qps.min()),
        "qp_max": None if qps is None else int(qps.max()),
        "qp_mean": None if qps is None else float(qps.mean()),
        "width_before": None if before is None else before[1],
        "height_before": None if before is None else before[0],
        "bytes": len(file_info.data),
        "bpp": bpp_of(file_info.data, info),
    }


def _block_qps(file_info: _FileInfo) -> str:
    if file_info.qps is not None:
        low, high = int(file_info.qps.min()), int(file_info.qps.max())
        return f"yes ({low}..{high}, mean {float(file_info.qps.mean()):.1f})"
    return f"yes, not read: {file_info.qps_error}" if file_info.qps_error is not None else "no"


def _size(info: ImageInfo) -> str:
    before = size_before(info)
    was = "" if before is None else f", {before[1]}x{before[0]} before it was coded smaller"
    return f"{info.width}x{info.height}{was}"


def _color(info: ImageInfo) -> str:
    kind = "gray" if info.chroma == "400" and not info.has_w else f"{info.color_space} {info.chroma}"
    extras = [
        f"{info.bit_depth} bits",
        *(["limited range"] if info.limited_range else []),
        *(["alpha, premultiplied" if info.premultiplied else "alpha"] if info.has_alpha else []),
        *(["CMYK"] if info.has_w else []),
    ]
    return ", ".join([kind, *extras])


def _animation(info: ImageInfo) -> str:
    total: Fraction = sum(info.durations, Fraction(0))
    shown = "for ever" if info.loop_count == 0 else f"{info.loop_count} time(s)"
    return f"{info.frames} frames, {float(total):.4g} s, shown {shown}"


def info_lines(file_info: _FileInfo) -> list[str]:
    """Lines for people about a file: size, colour, QPs of blocks, animation and extensions."""
    info, data = file_info.info, file_info.data
    rows = [
        ("size", _size(info)),
        ("file", f"{len(data)} bytes, {bpp_of(data, info):.4g} bpp"),
        ("colour", _color(info)),
        ("block QPs", _block_qps(file_info)),
        *([("animation", _animation(info))] if info.animation else []),
        *(
            (_EXTENSION_NAMES.get(tag, f"extension {tag}"), f"{len(content)} bytes")
            for tag, content in info.extensions
        ),
    ]
    return [single_line(str(file_info.file)), *(f"  {name:<18} {value}" for name, value in rows)]


def report_files(inputs: Sequence[str], *, recursive: bool, json_report: bool) -> int:
    """Prints the headers of files.

    Args:
        inputs: files, folders, patterns, or ``-``.
        recursive: whether subfolders are searched.
        json_report: whether the report is JSON.

    Returns:
        The exit code.

    Raises:
        UsageError: a folder or pattern has no files, or an argument is empty.
    """
    documents: list[dict[str, Any]] = []
    code = OK
    for file in find_inputs(inputs, BPG_SUFFIXES, recursive=recursive).files:
        try:
            file_info = _read(file)
        except (OSError, ValueError) as error:
            code = SOME_FAILED
            say(f"npp: {file}: {describe(error)}")
            documents.append({"file": str(file), "error": describe(error)})
            continue
        if json_report:
            documents.append(info_as_json(file_info))
        else:
            write_output("\n".join(info_lines(file_info)) + "\n")
    return print_report(documents, code) if json_report else code
