"""``npp encode``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from npp.batch.batch_units import BatchEncoder
from npp.batch.file_encoding import EncodeSettings
from npp.batch.named_judges import NamedJudge
from npp.batch.outcomes import describe
from npp.batch.picture_reading import PICTURE_SUFFIXES
from npp.batch.pixel_limit import limit_on_pixels
from npp.batch.recipe_use import RecipeUse, asks_allocator
from npp.batch.refined_frames import load_network
from npp.batch.shards import Shard
from npp.cli.encode_job import encode_job
from npp.cli.file_reports import UsageError
from npp.cli.input_files import find_inputs
from npp.cli.jobs import run_jobs
from npp.cli.manifest_record import ManifestRecord, check_manifest, conclude
from npp.cli.output_files import STDOUT, Job, WritePolicy, plan
from npp.cli.ray_engine import encode_with_ray
from npp.cli.recipe_options import load_recipe, parts_of, shared_cores
from npp.cli.share_job import Sensitivity, ShareSettings, encode_shared, parse_size
from npp.cli.share_state import STATE_NAME, check_state
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


def _check_rate(qp: int | None, target_bpp: float | None, lossless: bool, refine: bool) -> None:
    if sum([qp is not None, target_bpp is not None, lossless]) > 1:
        raise UsageError("--qp, --target-bpp and --lossless exclude each other")
    if lossless and refine:
        raise UsageError("--refine and --lossless exclude each other")
    if qp is not None:
        checked(resolve_qp, qp, 1)
    if target_bpp is not None and not 0 < target_bpp < math.inf:
        raise UsageError(f"--target-bpp must be above 0 and finite, not {target_bpp:g}")


def _checked_views(refine: str | None, views: bool | None) -> bool:
    """Whether the network of ``--refine``, which is loaded, looks at more than the picture."""
    if refine is None and views is not None:
        raise UsageError("--refine-views and --no-refine-views need --refine")
    try:
        if refine is not None:
            load_network(refine)
    except ValueError as error:
        raise UsageError(f"--refine: {error}") from None
    return views is not False


def _checked_judge(spec: str | None) -> NamedJudge | None:
    if spec is None:
        return None
    judge = NamedJudge.of(spec)
    try:
        judge.check()
    except Exception as error:  # whatever the packages and modules that it names raise
        raise UsageError(f"--judge {spec}: {describe(error)}") from None
    return judge


def _recipe_use(name: str | None, *, lossless: bool, **switches: bool) -> RecipeUse | None:
    """The recipe of ``--for``, loaded once for all files."""
    if name is None:
        given = [f"--{switch.replace('_', '-')}" for switch, on in switches.items() if on]
        if given:
            raise UsageError(f"{given[0]} needs --for")
        return None
    if lossless:
        raise UsageError("--for and --lossless exclude each other")
    return load_recipe(name, parts_of(**switches))


def _share_settings(
    share: bool,
    total: str | None,
    mean_bpp: float | None,
    sensitivity: Sensitivity | None,
    judge: str | None,
    keep_state: bool,
    recipe: RecipeUse | None,
) -> ShareSettings | None:
    if not share:
        for option, value in (
            ("--total", total),
            ("--mean-bpp", mean_bpp),
            ("--sensitivity", sensitivity),
            ("--judge", judge),
        ):
            if value is not None:
                raise UsageError(f"{option} needs --share")
        if keep_state:
            raise UsageError("--keep-state needs --share")
        return None
    if (total is None) == (mean_bpp is None):
        raise UsageError("--share needs one of --total and --mean-bpp")
    if mean_bpp is not None and not 0 < mean_bpp < math.inf:
        raise UsageError(f"--mean-bpp must be above 0 and finite, not {mean_bpp:g}")
    if judge is not None and sensitivity is not None:
        raise UsageError("--judge and --sensitivity exclude each other: the network says what is lost")
    asked = None if sensitivity is None else sensitivity is Sensitivity.predicted
    refusal = "--sensitivity predicted needs --for with a recipe that has an allocator"
    predicted = judge is None and checked(asks_allocator, recipe, asked, refusal)
    size = None if total is None else parse_size(total)
    return ShareSettings(size, mean_bpp, predicted, _checked_judge(judge), keep_state)


def _check_shared(
    settings: EncodeSettings,
    output: str,
    jobs: Sequence[Job],
    policy: WritePolicy,
    manifest: Path | None,
) -> None:
    for option, given in (
        ("--qp", settings.qp is not None),
        ("--target-bpp", settings.target_bpp is not None),
        ("--lossless", settings.options.get("lossless", False)),
        ("--refine", settings.refine is not None),
    ):
        if given:
            raise UsageError(f"--share and {option} exclude each other")
    if policy.skip_existing:
        raise UsageError("--share and --skip-existing exclude each other: a stopped run goes on by itself")
    if output == STDOUT or not (Path(output).is_dir() or len(jobs) > 1 or output.endswith("/")):
        raise UsageError(f"--share writes into a folder, not to {output}")
    if any(job.source.path is None for job in jobs):
        raise UsageError("--share reads every picture twice, and standard input can be read once")
    check_state(Path(output) / STATE_NAME, jobs, manifest)


def _manifest_place(
    path: str | None, shard: Shard | None, output: str, jobs: Sequence[Job], policy: WritePolicy, share: bool
) -> Path | None:
    """Where the manifest that was asked for goes, each part's own."""
    if path is None:
        return None
    if output == STDOUT:
        raise UsageError("--manifest is about files, and --output - writes none")
    own = Path(path) if shard is None else shard.own_name(Path(path))
    check_manifest(own, jobs, policy, goes_on=(Path(output) / STATE_NAME).is_file() if share else None)
    return own


def _own_part(jobs: list[Job], shard: Shard | None) -> list[Job]:
    """What of all jobs is this machine's."""
    if shard is None:
        return jobs
    if any(job.source.path is None for job in jobs):
        raise UsageError("--shard is about files, and standard input has no name")
    return [job for job in jobs if shard.has(job.source.relative.as_posix())]


class Engine(str, Enum):
    """Who hands out the work."""

    threads = "threads"
    ray = "ray"


def _check_engine(engine: Engine, address: str | None, **switches: bool) -> None:
    if engine is Engine.threads:
        if address is not None:
            raise UsageError("--address needs --engine ray")
        return
    for switch, on in switches.items():
        if on:
            raise UsageError(f"--engine ray and --{switch} exclude each other")


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
    with usage_errors():
        _check_rate(qp, target_bpp, lossless, refine is not None)
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
                "deblock": deblock,
                "chroma_qp_offset": chroma_qp_offset,
                "psy_rd": psy_rd,
            }
        )
        views = _checked_views(refine, refine_views)
        use = _recipe_use(
            recipe,
            lossless=lossless,
            qp_map_only=qp_map_only,
            no_scale=no_scale,
            no_filter=no_filter,
            no_map=no_map,
        )
        sharing = _share_settings(share, total, mean_bpp, sensitivity, judge, keep_state, use)
        workers = checked(resolve_threads, threads)
        part = None if shard is None else checked(Shard.parse, shard)
        if part is not None and sharing is not None:
            raise UsageError("--share and --shard exclude each other: bits are shared over all files")
        settings = EncodeSettings(
            qp, target_bpp, options, metadata, json_report, refine=refine, views=views, recipe=use
        )
        _check_engine(engine, address, share=share, shard=part is not None)
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
        _check_suffixes(jobs)
        place = _manifest_place(manifest, part, output, jobs, policy, share)
        jobs = _own_part(jobs, part)
        if sharing is not None:
            _check_shared(settings, output, jobs, policy, place)
        record = None if place is None else ManifestRecord(place, policy)
    with limit_on_pixels(max_pixels), shared_cores(workers):
        if sharing is not None:
            shared = encode_shared(
                jobs, settings, sharing, Path(output), policy, threads=workers, quiet=quiet
            )
            code = conclude(record, jobs, shared.reports, shared.code)
            finish(shared.documents(), code, json_report, share=shared.totals)
        work = partial(encode_job, encoder=BatchEncoder.of(settings), policy=policy, record=record)
        reports, code = run_jobs(jobs, work, title="Encoding", policy=policy, threads=workers, quiet=quiet)
        code = conclude(record, jobs, reports, code)
    finish([report.as_json() for report in reports], code, json_report)
