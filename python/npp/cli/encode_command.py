"""``npp encode``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer
from PIL import Image

from npp.cli.encode_job import EncodeSettings, encode_job, load_network
from npp.cli.file_reports import UsageError
from npp.cli.input_files import PICTURE_SUFFIXES, find_inputs
from npp.cli.jobs import run_jobs
from npp.cli.output_files import Job, plan
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
    limit_on_pixels,
    usage_errors,
    write_policy,
)
from npp.codec.limits import resolve_threads
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES, resolve_options, resolve_qp


def _codec_options(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, checked."""
    options = {name: value for name, value in given.items() if value is not None and value is not False}
    checked(resolve_options, options)
    return options


def _check_rate(qp: int | None, target_bpp: float | None, lossless: bool) -> None:
    if sum([qp is not None, target_bpp is not None, lossless]) > 1:
        raise UsageError("--qp, --target-bpp and --lossless exclude each other")
    if qp is not None:
        checked(resolve_qp, qp, 1)
    if target_bpp is not None and not target_bpp > 0:
        raise UsageError(f"--target-bpp must be above 0, not {target_bpp:g}")


def _check_suffixes(jobs: Sequence[Job]) -> None:
    """No BPG file gets the name of another format's."""
    for target in (job.target for job in jobs):
        suffix = "" if target is None else target.suffix.lower()
        if suffix != ".bpg" and suffix in Image.registered_extensions():
            raise UsageError(f"{target}: {suffix} is another format's suffix, and this would be a BPG file")


def encode(
    inputs: InputsArgument,
    output: OutputOption,
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
    metadata: KeepMetadataOption = True,
    recursive: RecursiveOption = False,
    threads: ThreadsOption = None,
    max_pixels: MaxPixelsOption = None,
    force: ForceOption = False,
    skip_existing: SkipExistingOption = False,
    json_report: JsonReportOption = False,
    quiet: QuietOption = False,
) -> None:
    """Encodes pictures and animations as BPG files.

    Reads what Pillow reads. GIF, APNG and animated WebP become BPG animations.
    """
    with usage_errors():
        _check_rate(qp, target_bpp, lossless)
        check_stdout(output, json_report)
        policy = write_policy(force, skip_existing)
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
        workers = checked(resolve_threads, threads)
        jobs = plan(find_inputs(inputs, PICTURE_SUFFIXES, recursive=recursive), output, ".bpg")
        _check_suffixes(jobs)
    settings = EncodeSettings(
        qp, target_bpp, options, metadata, measure=json_report, refine=refine, views=refine_views
    )
    work = partial(encode_job, settings=settings, policy=policy)
    with limit_on_pixels(max_pixels):
        reports, code = run_jobs(jobs, work, title="Encoding", policy=policy, threads=workers, quiet=quiet)
    finish([report.as_json() for report in reports], code, json_report)
