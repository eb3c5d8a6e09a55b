"""The command ``npp decode``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from npp.batch.batch_units import BatchDecoder
from npp.batch.file_decoding import DecodeSettings
from npp.batch.picture_writing import format_of_suffix
from npp.batch.pixel_limit import limit_on_pixels
from npp.cli.decode_job import decode_job
from npp.cli.exit_codes import UsageError
from npp.cli.help_panels import CODEC, FILES, RECIPE
from npp.cli.input_files import find_inputs
from npp.cli.jobs import run_jobs
from npp.cli.output_files import Job, check_sequences, plan
from npp.cli.recipe_options import load_recipe, shared_cores
from npp.cli.shared_options import (
    ForceOption,
    InputsArgument,
    JsonReportOption,
    KeepMetadataOption,
    MaxPixelsOption,
    OutputOption,
    QuietOption,
    RecursiveOption,
    SkipExistingOption,
    ThreadsOption,
    check_stdout,
    checked,
    finish,
    write_policy,
)
from npp.codec.limits import resolve_threads
from npp.photos.finding import BPG_SUFFIXES
from npp.recipes.parts import Parts

_FORMAT = "png"


def _check_format(option: str, suffix: str) -> None:
    """Raises UsageError unless pictures can be written in the format of an option's suffix."""
    try:
        format_of_suffix(suffix)
    except ValueError as error:
        ways = "" if suffix else f"; write {option}.png for a file, {option}/ for a folder"
        raise UsageError(f"{option}: {error}{ways}") from None


def _check_targets(jobs: Sequence[Job], output: str, suffix: str | None) -> None:
    """Raises UsageError unless the targets' suffixes are formats of pictures and agree with ``--format``."""
    for target in (job.target for job in jobs if job.target is not None):
        _check_format(f"--output {output}", target.suffix)
        if suffix is not None and format_of_suffix(target.suffix) != format_of_suffix(suffix):
            raise UsageError(
                f"--output {output} and --format {suffix.removeprefix('.')} contradict each other: --format"
                " is for folders and standard output, a file's suffix says its format"
            )


def decode(
    inputs: InputsArgument,
    output: OutputOption,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of files in a folder and of standard output, as a suffix.",
            show_default="png",
            rich_help_panel=FILES,
        ),
    ] = None,
    bit_depth: Annotated[
        int,
        typer.Option(
            help="Bits of a sample: 8, or 16 (png; gray as tif and pgm, too).", rich_help_panel=CODEC
        ),
    ] = 8,
    quality: Annotated[int, typer.Option(help="Of JPEG files, 1 to 100.", rich_help_panel=CODEC)] = 95,
    restore_size: Annotated[
        bool,
        typer.Option(
            "--restore-size",
            help="Bring pictures that a recipe coded smaller back to their size.",
            rich_help_panel=RECIPE,
        ),
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="RECIPE",
            help="Restore pictures for this recipe's network, at the size that they had.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    metadata: KeepMetadataOption = True,
    recursive: RecursiveOption = False,
    threads: ThreadsOption = None,
    max_pixels: MaxPixelsOption = None,
    force: ForceOption = False,
    skip_existing: SkipExistingOption = False,
    json_report: JsonReportOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decodes BPG files.

    The output's suffix says the format: png, webp, gif (these hold animations), jpg, tif, bmp, ppm. A name
    like frame-%03d.png gives one file for each frame.
    """
    if bit_depth not in (8, 16):
        raise UsageError(f"--bit-depth must be 8 or 16, not {bit_depth}")
    if not 1 <= quality <= 100:
        raise UsageError(f"--quality must be from 1 to 100, not {quality}")
    check_stdout(output, json_report)
    suffix = "." + (_FORMAT if format_name is None else format_name).removeprefix(".").lower()
    _check_format(f"--format {format_name}", suffix)
    policy = write_policy(force, skip_existing)
    workers = checked(resolve_threads, threads)
    restoring = None if recipe is None else load_recipe(recipe, Parts()).recipe
    jobs = plan(find_inputs(inputs, BPG_SUFFIXES, recursive=recursive), output, suffix)
    check_sequences(jobs)
    _check_targets(jobs, output, None if format_name is None else suffix)
    settings = DecodeSettings(suffix, bit_depth, metadata, quality, restore_size, restoring)
    work = partial(decode_job, decoder=BatchDecoder.from_settings(settings), policy=policy)
    with limit_on_pixels(max_pixels), shared_cores(workers):
        reports, code = run_jobs(jobs, work, title="Decoding", policy=policy, threads=workers, quiet=quiet)
    finish([report.as_json() for report in reports], code, json_report)
