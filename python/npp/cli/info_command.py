"""``npp info``: what BPG files say about themselves."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

import typer

from npp.cli.encode_job import bpp_of
from npp.cli.file_reports import OK, SOME_FAILED, describe
from npp.cli.input_files import BPG_SUFFIXES, Input, find_inputs
from npp.cli.shared_options import InputsArgument, RecursiveOption, finish, usage_errors
from npp.cli.streams import say, write_output
from npp.codec.decoding import probe
from npp.codec.metadata import ImageInfo

_EXTENSION_NAMES = {1: "EXIF", 2: "ICC profile", 3: "XMP", 4: "thumbnail", 5: "animation control"}
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
)


def info_as_json(file: Input, data: bytes, info: ImageInfo) -> dict[str, Any]:
    """All that :func:`npp.probe` reads, durations as [numerator, denominator] seconds."""
    return {
        "file": str(file),
        **{name: getattr(info, name) for name in _FIELDS},
        "durations": [[duration.numerator, duration.denominator] for duration in info.durations],
        "extensions": [[tag, len(content)] for tag, content in info.extensions],
        "bytes": len(data),
        "bpp": bpp_of(data, info),
    }


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


def info_lines(file: Input, data: bytes, info: ImageInfo) -> list[str]:
    """The same for people."""
    rows = [
        ("size", f"{info.width}x{info.height}"),
        ("file", f"{len(data)} bytes, {bpp_of(data, info):.4g} bpp"),
        ("colour", _color(info)),
        *([("animation", _animation(info))] if info.animation else []),
        *(
            (_EXTENSION_NAMES.get(tag, f"extension {tag}"), f"{len(content)} bytes")
            for tag, content in info.extensions
        ),
    ]
    return [str(file), *(f"  {name:<18} {value}" for name, value in rows)]


def info(
    inputs: InputsArgument,
    recursive: RecursiveOption = False,
    json_report: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Shows what BPG files say about themselves, without decoding them."""
    with usage_errors():
        files = find_inputs(inputs, BPG_SUFFIXES, recursive=recursive).files
    documents: list[dict[str, Any]] = []
    code = OK
    for file in files:
        try:
            data = file.read()
            found = probe(data)
        except (OSError, ValueError) as error:
            code = SOME_FAILED
            say(f"npp: {file}: {describe(error)}")
            documents.append({"file": str(file), "error": describe(error)})
            continue
        if json_report:
            documents.append(info_as_json(file, data, found))
        else:
            write_output("\n".join(info_lines(file, data, found)) + "\n")
    finish(documents, code, json_report)
