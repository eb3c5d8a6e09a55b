"""``npp encode``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from npp.batch.batch_units import BatchEncoder
from npp.batch.file_encoding import EncodeSettings
from npp.batch.picture_reading import PICTURE_SUFFIXES
from npp.batch.pixel_limit import limit_on_pixels
from npp.batch.shards import Shard
from npp.cli.encode_checks import (
    Engine,
    check_engine,
    check_no_quantiser,
    check_rate,
    check_shared,
    check_suffixes,
    checked_views,
    codec_options,
    manifest_place,
    own_part,
    recipe_use,
    share_settings,
)
from npp.cli.encode_job import encode_job
from npp.cli.file_reports import UsageError
from npp.cli.input_files import find_inputs
from npp.cli.jobs import run_jobs
from npp.cli.manifest_record import ManifestRecord, conclude
from npp.cli.output_files import Job, WritePolicy, plan
from npp.cli.ray_engine import encode_with_ray
from npp.cli.recipe_options import shared_cores
from npp.cli.share_job import Sensitivity, ShareSettings, encode_shared
from npp.cli.share_state import STATE_NAME, alone_in
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
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES


def _encoded(
    jobs: list[Job],
    settings: EncodeSettings,
    sharing: ShareSettings | None,
    *,
    output: Path,
    policy: WritePolicy,
    record: ManifestRecord | None,
    workers: int,
    quiet: bool,
) -> tuple[Sequence[dict[str, Any]], int, dict[str, Any]]:
    """Encodes what was checked: the report on each file, the exit code, and what else is reported."""
    if sharing is not None:
        shared = encode_shared(jobs, settings, sharing, output, policy, threads=workers, quiet=quiet)
        code = conclude(record, jobs, shared.reports, shared.code)
        return shared.documents(), code, {"share": shared.totals}
    work = partial(encode_job, encoder=BatchEncoder.of(settings), policy=policy, record=record)
    reports, code = run_jobs(jobs, work, title="Encoding", policy=policy, threads=workers, quiet=quiet)
    return [report.as_json() for report in reports], conclude(record, jobs, reports, code), {}


@contextmanager
def _alone(
    manifest: Path | None, policy: WritePolicy, shared: Path | None
) -> Iterator[ManifestRecord | None]:
    """What this run alone writes as long as it lasts: its manifest, which is given, and a shared folder."""
    with ExitStack() as held:
        # First the manifest, for the folder is made where it is not there.
        record = None if manifest is None else held.enter_context(ManifestRecord(manifest, policy))
        if shared is not None:
            held.enter_context(alone_in(shared))
        yield record


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
        bool,
        typer.Option(
            "--lossless",
            help="Exact for 8-bit RGB, unless --chroma, --color-space, --premultiplied or --limited-range say"
            " otherwise.",
        ),
    ] = False,
    alpha_qp: Annotated[int | None, typer.Option(help="Quantiser of alpha.", show_default="the qp")] = None,
    premultiplied: Annotated[
        bool, typer.Option("--premultiplied", help="Store colour multiplied by alpha.")
    ] = False,
    tune: Annotated[str | None, typer.Option(help="ssim or machine.", show_default="ssim")] = None,
    deblock: Annotated[
        int | None,
        typer.Option(help="Filter against block edges, -6 to 6.", show_default="as effort and tune say"),
    ] = None,
    chroma_qp_offset: Annotated[
        int | None,
        typer.Option(help="Colour's quantiser against luma's, -12 to 12.", show_default="0; machine: -3"),
    ] = None,
    psy_rd: Annotated[
        float | None,
        typer.Option(help="Keep texture even where pixels come out less exact, 0 to 5.", show_default="0"),
    ] = None,
    refine: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Network of torch.export whose prediction is to be kept; slow."),
    ] = None,
    refine_views: Annotated[
        bool | None, typer.Option(help="Let it look at the mirror image and at parts too; not for text.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="RECIPE",
            help="Prepare stills for a task: a name that npp recipes lists, or a file.",
        ),
    ] = None,
    qp_map_only: Annotated[
        bool, typer.Option("--qp-map-only", help="Of the recipe use the map alone.")
    ] = False,
    no_scale: Annotated[bool, typer.Option("--no-scale", help="Keep the size of pictures.")] = False,
    no_filter: Annotated[bool, typer.Option("--no-filter", help="Leave the pixels alone.")] = False,
    no_map: Annotated[bool, typer.Option("--no-map", help="One qp for all blocks.")] = False,
    share: Annotated[
        bool, typer.Option("--share", help="Choose qps so that all files together lose least at their size.")
    ] = False,
    total: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Bytes of all files together, as 12M or 500k.")
    ] = None,
    mean_bpp: Annotated[
        float | None, typer.Option(help="Bits per pixel of all files together, instead of --total.")
    ] = None,
    sensitivity: Annotated[
        Sensitivity | None,
        typer.Option(
            help="Which pictures lose more, as the recipe sees them.",
            show_default="predicted, where a recipe has an allocator",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Network that says which pictures lose more: a file, a name, or a task's YAML.",
        ),
    ] = None,
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help=f"Keep OUT/{STATE_NAME}, for another --total.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="RANK/WORLD",
            help="Encode this part of the files only; auto asks torchrun's or SLURM's variables.",
        ),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a line of JSON about every file, for npp verify; goes on with --skip-existing.",
        ),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="ray: on the machines of a Ray cluster, or with Ray on this one.")
    ] = Engine.threads,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster, as ray.init takes it.", show_default="RAY_ADDRESS")
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
    """Encodes pictures and animations as BPG files.

    Reads what Pillow reads. GIF, APNG and animated WebP become BPG animations.
    """
    check_no_quantiser(inputs)
    check_rate(qp, target_bpp, lossless, refine is not None)
    check_stdout(output, json_report)
    policy = write_policy(force, skip_existing)
    options = codec_options(
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
            "deblock": deblock,
            "chroma_qp_offset": chroma_qp_offset,
            "psy_rd": psy_rd,
        }
    )
    views = checked_views(refine, refine_views)
    use = recipe_use(
        recipe,
        lossless=lossless,
        qp_map_only=qp_map_only,
        no_scale=no_scale,
        no_filter=no_filter,
        no_map=no_map,
    )
    sharing = share_settings(share, total, mean_bpp, sensitivity, judge, keep_state, use)
    workers = checked(resolve_threads, threads)
    part = None if shard is None else checked(Shard.parse, shard)
    if part is not None and sharing is not None:
        raise UsageError("--share and --shard exclude each other: bits are shared over all files")
    settings = EncodeSettings(
        qp, target_bpp, options, metadata, json_report, refine=refine, views=views, recipe=use
    )
    check_engine(engine, address, share=share, shard=part is not None)
    if engine is Engine.ray:
        rows, code = encode_with_ray(
            inputs,
            output,
            settings,
            policy,
            address=address,
            recursive=recursive,
            manifest=manifest,
            max_pixels=max_pixels,
            workers=threads,
            quiet=quiet,
        )
        finish(rows, code, json_report)
    jobs = plan(find_inputs(inputs, PICTURE_SUFFIXES, recursive=recursive), output, ".bpg")
    check_suffixes(jobs)
    place = manifest_place(manifest, part, output, jobs, policy, share)
    jobs = own_part(jobs, part)
    if sharing is not None:
        check_shared(settings, output, jobs, policy, place)
    with (
        _alone(place, policy, None if sharing is None else Path(output)) as record,
        limit_on_pixels(max_pixels),
        shared_cores(workers),
    ):
        documents, code, more = _encoded(
            jobs,
            settings,
            sharing,
            output=Path(output),
            policy=policy,
            record=record,
            workers=workers,
            quiet=quiet,
        )
    finish(documents, code, json_report, **more)
