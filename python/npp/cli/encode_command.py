"""The command ``npp encode``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from npp.batch.batch_units import BatchEncoder
from npp.batch.pixel_limit import limit_on_pixels
from npp.cli.encode_job import encode_job
from npp.cli.encode_options import (
    AddressOption,
    AlphaQpOption,
    BitDepthOption,
    ChromaOption,
    ChromaQpOffsetOption,
    ColorSpaceOption,
    DeblockOption,
    EffortOption,
    Engine,
    EngineOption,
    JudgeOption,
    KeepStateOption,
    LimitedRangeOption,
    LosslessOption,
    ManifestOption,
    MeanBppOption,
    NoFilterOption,
    NoMapOption,
    NoScaleOption,
    PremultipliedOption,
    PsyRdOption,
    QpMapOnlyOption,
    QpOption,
    QualityOption,
    RecipeOption,
    RefineOption,
    RefineViewsOption,
    SensitivityOption,
    ShardOption,
    ShareOption,
    TargetBppOption,
    TotalOption,
    TuneOption,
)
from npp.cli.encode_request import (
    EncodeRequest,
    check_engine,
    check_no_quantiser,
    checked_shard,
    checked_views,
    codec_options,
    planned,
    rate_settings,
    share_settings,
    with_recipe,
)
from npp.cli.jobs import run_jobs
from npp.cli.manifest_record import ManifestRecord, conclude
from npp.cli.output_files import Job, WritePolicy
from npp.cli.ray_engine import encode_with_ray
from npp.cli.recipe_options import shared_cores
from npp.cli.share_job import SharedRun
from npp.cli.share_state import alone_in
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


def _encoded(
    request: EncodeRequest, jobs: list[Job], record: ManifestRecord | None, workers: int
) -> tuple[Sequence[dict[str, Any]], int, dict[str, Any]]:
    """Encodes the jobs; returns a report for each file, the exit code, and further fields of the report."""
    settings, policy, quiet = request.settings, request.policy, request.quiet
    if request.sharing is not None:
        shared = SharedRun(request, jobs, workers)
        shared.encode()
        looked_at, code = conclude(record, jobs, shared.reports, shared.code)
        return [report.as_json() for report in looked_at], code, {"share": shared.totals}
    work = partial(encode_job, encoder=BatchEncoder.from_settings(settings), policy=policy, record=record)
    reports, code = run_jobs(jobs, work, title="Encoding", policy=policy, threads=workers, quiet=quiet)
    looked_at, code = conclude(record, jobs, reports, code)
    return [report.as_json() for report in looked_at], code, {}


@contextmanager
def _alone(
    manifest: Path | None, policy: WritePolicy, shared: Path | None
) -> Iterator[ManifestRecord | None]:
    """Keeps other runs from writing the manifest and the shared folder within the block."""
    with ExitStack() as stack:
        # The manifest comes first, before the folder is created.
        record = None if manifest is None else stack.enter_context(ManifestRecord(manifest, policy))
        if shared is not None:
            stack.enter_context(alone_in(shared))
        yield record


def _encode_here(request: EncodeRequest) -> tuple[Sequence[dict[str, Any]], int, dict[str, Any]]:
    """Encodes with this machine's threads; returns the same as :func:`_encoded`."""
    jobs, manifest = planned(request)
    workers = resolve_threads(request.threads)
    with (
        _alone(manifest, request.policy, None if request.sharing is None else Path(request.output)) as record,
        limit_on_pixels(request.max_pixels),
        shared_cores(workers),
    ):
        return _encoded(request, jobs, record, workers)


def encode(
    ctx: typer.Context,
    inputs: InputsArgument,
    output: OutputOption,
    qp: QpOption = None,
    target_bpp: TargetBppOption = None,
    _quality: QualityOption = None,
    effort: EffortOption = None,
    chroma: ChromaOption = None,
    bit_depth: BitDepthOption = None,
    color_space: ColorSpaceOption = None,
    limited_range: LimitedRangeOption = False,
    lossless: LosslessOption = False,
    alpha_qp: AlphaQpOption = None,
    premultiplied: PremultipliedOption = False,
    tune: TuneOption = None,
    deblock: DeblockOption = None,
    chroma_qp_offset: ChromaQpOffsetOption = None,
    psy_rd: PsyRdOption = None,
    refine: RefineOption = None,
    refine_views: RefineViewsOption = None,
    recipe: RecipeOption = None,
    qp_map_only: QpMapOnlyOption = False,
    no_scale: NoScaleOption = False,
    no_filter: NoFilterOption = False,
    no_map: NoMapOption = False,
    share: ShareOption = False,
    total: TotalOption = None,
    mean_bpp: MeanBppOption = None,
    sensitivity: SensitivityOption = None,
    judge: JudgeOption = None,
    keep_state: KeepStateOption = False,
    shard: ShardOption = None,
    manifest: ManifestOption = None,
    engine: EngineOption = Engine.threads,
    address: AddressOption = None,
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
    settings = rate_settings(qp, target_bpp, codec_options(ctx.params), refine)
    check_stdout(output, json_report)
    policy = write_policy(force, skip_existing)
    views = checked_views(refine, refine_views)
    settings = with_recipe(
        replace(settings, keep_metadata=metadata, measure=json_report, views=views),
        recipe,
        qp_map_only=qp_map_only,
        no_scale=no_scale,
        no_filter=no_filter,
        no_map=no_map,
    )
    sharing = share_settings(share, total, mean_bpp, sensitivity, judge, keep_state, settings.recipe)
    checked(resolve_threads, threads)
    part = checked_shard(shard, share)
    check_engine(engine, address, share=share, shard=part is not None)
    request = EncodeRequest(
        inputs,
        output,
        settings,
        policy,
        recursive=recursive,
        threads=threads,
        max_pixels=max_pixels,
        manifest=manifest,
        sharing=sharing,
        part=part,
        quiet=quiet,
    )
    if engine is Engine.ray:
        rows, code = encode_with_ray(request, address)
        finish(rows, code, json_report)
    documents, code, more = _encode_here(request)
    finish(documents, code, json_report, **more)
