"""``npp encode --engine ray``: the files of a command on the machines of a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from npp.batch.batch_units import BatchEncoder
from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import describe
from npp.batch.picture_reading import PICTURE_SUFFIXES
from npp.cli.encode_request import EncodeRequest
from npp.cli.exit_codes import OK, SOME_FAILED, UsageError
from npp.cli.file_reports import in_options
from npp.cli.input_files import find_inputs
from npp.cli.manifest_record import check_manifest
from npp.cli.output_files import STDOUT, Job, WritePolicy, plan
from npp.cli.streams import say


def _existing(policy: WritePolicy) -> Any:
    return "skip" if policy.skip_existing else "replace" if policy.force else "error"


def _pictures(jobs: Sequence[Job], output: str) -> list[Any]:
    from npp.integrations.ray.ray_sources import Picture

    pictures = []
    for job in jobs:
        assert job.source.path is not None and job.target is not None
        target = job.target.relative_to(output).as_posix()
        pictures.append(Picture(str(job.source.path.absolute()), str(job.source), target))
    return pictures


def _jobs(inputs: Sequence[str], output: str, recursive: bool) -> list[Job] | None:
    """The jobs for files of this machine; ``None`` for URLs, which the cluster looks up."""
    from npp.integrations.ray.ray_storage import is_remote

    if is_remote(output) or any(map(is_remote, inputs)):
        return None
    jobs = plan(find_inputs(inputs, PICTURE_SUFFIXES, recursive=recursive), output, ".bpg")
    if any(job.source.path is None for job in jobs) or any(job.target == Path(output) for job in jobs):
        raise UsageError("--engine ray reads files, and writes into a folder (-o OUT/)")
    return jobs


def _line(row: ManifestRow) -> str:
    how = "" if row.qp is None else f", qp {row.qp}"
    return f"{row.input} -> {row.output}: {row.bytes} bytes, {row.bpp or 0:.3f} bpp{how}"


def _ray_errors() -> tuple[type[Exception], ...]:
    """The base class of Ray's own errors; empty if Ray is not loaded."""
    exceptions = sys.modules.get("ray.exceptions")
    return () if exceptions is None else (exceptions.RayError,)


def _in_worker(error: Exception) -> Exception:
    """The original error of a worker, which Ray wraps into one with a long traceback."""
    cause = getattr(error, "cause", None) if isinstance(error, _ray_errors()) else None
    return cause if isinstance(cause, Exception) else error


def encode_with_ray(request: EncodeRequest, address: str | None) -> tuple[list[dict[str, Any]], int]:
    """Encodes the files of a request; returns the rows of the report and the exit code.

    Args:
        request: a request without a part and without sharing.
        address: address of the cluster.

    Raises:
        UsageError: Ray is not installed, there is no such cluster, the arguments do not make sense, or
            something else than a single picture fails, such as reading a table.
    """
    if request.output == STDOUT:
        raise UsageError("--engine ray writes into a folder, not to standard output")
    rows: list[dict[str, Any]] = []

    def on_row(row: ManifestRow) -> None:
        rows.append(asdict(row))
        if row.output is None:
            say(f"npp: {row.input}: {in_options(row.error or '')}")
        elif not request.quiet:
            say(_line(row))

    try:
        from npp.integrations.ray.ray_pipelines import run
        from npp.integrations.ray.ray_run_types import Cluster, RunInput, RunOutput

        jobs = _jobs(request.inputs, request.output, request.recursive)
        if request.manifest is not None:
            check_manifest(Path(request.manifest), jobs or [], request.policy)
        unit = BatchEncoder.from_settings(replace(request.settings, measure=False), request.max_pixels)
        source = list(request.inputs) if jobs is None else _pictures(jobs, request.output)
        run_input = RunInput(source, PICTURE_SUFFIXES, recursive=request.recursive)
        run_output = RunOutput(request.output, existing=_existing(request.policy), manifest=request.manifest)
        summary = run(unit, run_input, run_output, Cluster(address, request.threads), on_row)
    except Exception as error:
        if not isinstance(error, (ModuleNotFoundError, OSError, ValueError, *_ray_errors())):
            raise
        raise UsageError(describe(_in_worker(error))) from None
    if not request.quiet:
        numbers = (("written", summary.written), ("skipped", summary.skipped), ("failed", summary.failed))
        say(", ".join(f"{number} {status}" for status, number in numbers if number))
    return rows, SOME_FAILED if summary.failed else OK
