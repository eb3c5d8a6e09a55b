"""The commands and their options."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from PIL import Image

from npp.cli.decode_job import DecodeSettings, decode_job
from npp.cli.encode_job import EncodeSettings, encode_job, load_network
from npp.cli.evaluate_command import evaluate
from npp.cli.file_reports import OK, SOME_FAILED, USAGE, FileReport, UsageError, describe, print_json
from npp.cli.info import info_as_json, info_lines
from npp.cli.input_files import BPG_SUFFIXES, PICTURE_SUFFIXES, find_inputs
from npp.cli.jobs import run_jobs
from npp.cli.output_files import STDOUT, WritePolicy, plan
from npp.cli.picture_writing import format_of
from npp.cli.train_command import app as train_app
from npp.codec.build import __version__
from npp.codec.limits import resolve_threads
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES, resolve_options, resolve_qp

_EXIT_CODES = "Exit code: 0 all went well, 1 some files failed, 2 wrong usage and nothing was done."
app = typer.Typer(
    name="npp",
    help=f"Encodes and decodes BPG pictures. {_EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_Inputs = Annotated[
    list[str],
    typer.Argument(metavar="IN", help="Files, folders, quoted patterns, or - for standard input."),
]
_Output = Annotated[
    str,
    typer.Option(
        "--output", "-o", help="File, or folder where there are several inputs, or - for standard output."
    ),
]
_Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Search folders below folders too.")]
_Threads = Annotated[int | None, typer.Option(help="Files at the same time; default: all usable cores.")]
_Force = Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")]
_SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Leave files that exist; go on after a stop.")
]
_Metadata = Annotated[
    bool, typer.Option("--keep-metadata/--strip-metadata", help="EXIF, ICC profile and XMP.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print a report as JSON on standard output.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")]
app.add_typer(train_app)
app.command(epilog=_EXIT_CODES)(evaluate)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Wrong usage ends with one line and exit code 2."""
    try:
        yield
    except UsageError as error:
        typer.echo(f"npp: {error}", err=True)
        raise typer.Exit(USAGE) from None


def _checked(check: Any, *arguments: Any) -> Any:
    """The library's own check of a value, as a usage error."""
    try:
        return check(*arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def _policy(force: bool, skip_existing: bool) -> WritePolicy:
    if force and skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    return WritePolicy(force, skip_existing)


def _check_stdout(output: str, json_report: bool) -> None:
    if output == STDOUT and json_report:
        raise UsageError("--json and --output - both want standard output")


def _finish(reports: Sequence[FileReport], code: int, json_report: bool) -> NoReturn:
    if json_report:
        print_json({"npp": __version__, "files": [report.as_json() for report in reports]})
    raise typer.Exit(code)


def _codec_options(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, checked."""
    options = {name: value for name, value in given.items() if value is not None and value is not False}
    _checked(resolve_options, options)
    return options


def _check_rate(qp: int | None, target_bpp: float | None, lossless: bool) -> None:
    if sum([qp is not None, target_bpp is not None, lossless]) > 1:
        raise UsageError("--qp, --target-bpp and --lossless exclude each other")
    if qp is not None:
        _checked(resolve_qp, qp, 1)
    if target_bpp is not None and not target_bpp > 0:
        raise UsageError(f"--target-bpp must be above 0, not {target_bpp:g}")


@app.command(epilog=_EXIT_CODES)
def encode(
    inputs: _Inputs,
    output: _Output,
    qp: Annotated[int | None, typer.Option(help="Quantiser, 0 (best) to 51.", show_default="29")] = None,
    target_bpp: Annotated[
        float | None, typer.Option(help="Use the smallest qp whose file has at most so many bits per pixel.")
    ] = None,
    effort: Annotated[int | None, typer.Option(help="0 (fastest) to 9.", show_default="8")] = None,
    chroma: Annotated[str | None, typer.Option(help=" ".join(CHROMA_NAMES), show_default="420")] = None,
    bit_depth: Annotated[int | None, typer.Option(help="8, 10 or 12.", show_default="8")] = None,
    color_space: Annotated[
        str | None, typer.Option(help=" ".join(COLOR_SPACE_NAMES), show_default="ycbcr")
    ] = None,
    limited_range: Annotated[bool, typer.Option("--limited-range", help="Video range.")] = False,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Exact for 8-bit RGB unless --chroma or --color-space differ.")
    ] = False,
    alpha_qp: Annotated[int | None, typer.Option(help="Quantiser of alpha.", show_default="the qp")] = None,
    premultiplied: Annotated[
        bool, typer.Option("--premultiplied", help="Store colour multiplied by alpha.")
    ] = False,
    tune: Annotated[str | None, typer.Option(help="ssim or machine.", show_default="ssim")] = None,
    refine: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Network of torch.export whose prediction is to be kept; slow."),
    ] = None,
    refine_views: Annotated[
        bool, typer.Option(help="Let it look at the mirror image and at parts too; not for text.")
    ] = True,
    metadata: _Metadata = True,
    recursive: _Recursive = False,
    threads: _Threads = None,
    force: _Force = False,
    skip_existing: _SkipExisting = False,
    json_report: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Encodes pictures and animations as BPG files.

    Reads what Pillow reads. GIF, APNG and animated WebP become BPG animations.
    """
    with _usage_errors():
        _check_rate(qp, target_bpp, lossless)
        _check_stdout(output, json_report)
        policy = _policy(force, skip_existing)
        options = _codec_options(
            {
                "effort": effort,
                "chroma": chroma,
                "bit_depth": bit_depth,
                "color_space": color_space,
                "limited_range": limited_range,
                "lossless": lossless,
                "alpha_qp": alpha_qp,
                "premultiplied": premultiplied,
                "tune": tune,
            }
        )
        if refine is not None:
            load_network(refine)
        workers = _checked(resolve_threads, threads)
        jobs = plan(find_inputs(inputs, PICTURE_SUFFIXES, recursive=recursive), output, ".bpg")
    settings = EncodeSettings(
        qp, target_bpp, options, metadata, measure=json_report, refine=refine, views=refine_views
    )
    work = partial(encode_job, settings=settings, policy=policy)
    reports, code = run_jobs(jobs, work, title="Encoding", policy=policy, threads=workers, quiet=quiet)
    _finish(reports, code, json_report)


@app.command(epilog=_EXIT_CODES)
def decode(
    inputs: _Inputs,
    output: _Output,
    format_name: Annotated[
        str, typer.Option("--format", help="Of files in a folder and of standard output, as a suffix.")
    ] = "png",
    bit_depth: Annotated[int, typer.Option(help="8, or 16 (png).")] = 8,
    quality: Annotated[int, typer.Option(help="Of JPEG, 1 to 100.")] = 95,
    metadata: _Metadata = True,
    recursive: _Recursive = False,
    threads: _Threads = None,
    force: _Force = False,
    skip_existing: _SkipExisting = False,
    json_report: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Decodes BPG files.

    The output's suffix says the format: png, webp, gif (these hold animations), jpg, tif, bmp, ppm. A name
    like frame-%03d.png gives one file for each frame.
    """
    with _usage_errors():
        if bit_depth not in (8, 16):
            raise UsageError(f"--bit-depth must be 8 or 16, not {bit_depth}")
        if not 1 <= quality <= 100:
            raise UsageError(f"--quality must be from 1 to 100, not {quality}")
        _check_stdout(output, json_report)
        suffix = "." + format_name.removeprefix(".").lower()
        format_of(suffix)
        policy = _policy(force, skip_existing)
        workers = _checked(resolve_threads, threads)
        jobs = plan(find_inputs(inputs, BPG_SUFFIXES, recursive=recursive), output, suffix)
        for job in jobs:
            if job.target is not None:
                format_of(job.target.suffix)
    settings = DecodeSettings(suffix, bit_depth, metadata, quality)
    work = partial(decode_job, settings=settings, policy=policy)
    reports, code = run_jobs(jobs, work, title="Decoding", policy=policy, threads=workers, quiet=quiet)
    _finish(reports, code, json_report)


@app.command(epilog=_EXIT_CODES)
def info(
    inputs: _Inputs,
    recursive: _Recursive = False,
    json_report: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Shows what BPG files say about themselves, without decoding them."""
    with _usage_errors():
        files = find_inputs(inputs, BPG_SUFFIXES, recursive=recursive).files
    documents: list[dict[str, Any]] = []
    code = OK
    for file in files:
        try:
            if json_report:
                documents.append(info_as_json(file))
            else:
                typer.echo("\n".join(info_lines(file)))
        except (OSError, ValueError) as error:
            code = SOME_FAILED
            typer.echo(f"npp: {file}: {describe(error)}", err=True)
            documents.append({"file": str(file), "error": describe(error)})
    if json_report:
        print_json({"npp": __version__, "files": documents})
    raise typer.Exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"npp {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM as an exception, so that temporary files go away."""
    raise SystemExit(128 + signal.SIGTERM)


def run(arguments: Sequence[str] | None) -> NoReturn:
    """Runs the command line and exits."""
    signal.signal(signal.SIGTERM, _terminate)
    # npp has its own limit on pixels and says which file is above it.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        app(None if arguments is None else list(arguments))
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say, and closing must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(SOME_FAILED)
    sys.exit(OK)
