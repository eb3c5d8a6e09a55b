"""Many files whose qps are chosen together: probed quickly, then encoded so that their total is met."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from npp.allocation.shared_budget import SharedBudget, SharedStep
from npp.batch.file_encoding import EncodeSettings, encode_source, report_values
from npp.batch.named_judges import NamedJudge
from npp.batch.outcomes import describe
from npp.batch.picture_reading import read_source
from npp.batch.rate_probing import Probing, curve_bits, probe_curve, probe_effort, set_losses
from npp.checks import MAX_QP
from npp.cli.encode_job import written
from npp.cli.file_reports import FAILED, OK, SOME_FAILED, WRITTEN, FileReport, UsageError, counts
from npp.cli.jobs import Crew, crew, exit_code
from npp.cli.output_files import Job, WritePolicy, must_skip, write
from npp.cli.share_state import STATE_NAME, ShareState, identity
from npp.cli.streams import say
from npp.codec.build import __version__

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", re.IGNORECASE)
# Times the total: what qp 51 takes by the curves, when it is not even tried. Files of high efforts take less
# than half of what the curves, which are continued there, say of them.
_HOPELESS = 4.0
# The same by the first files as they will be, for pictures that are still to be encoded: these files tell how
# the curves lie, and only a set of very different pictures has others that lie twice as low.
_UNLIKELY = 2.0
_REPLACES = WritePolicy(force=True)


class Sensitivity(str, Enum):
    """Where it comes from that pictures differ in what they lose."""

    none = "none"
    predicted = "predicted"


@dataclass(frozen=True)
class ShareSettings:
    """What the command line asks of all files together.

    Attributes:
        total_bytes: at most; ``None`` with ``mean_bpp``.
        mean_bpp: all bits for each pixel of all pictures, at most.
        predicted: the recipe's allocator says which pictures lose more than others.
        judge: a network says so instead.
        keep_state: the file of :class:`~npp.cli.share_state.ShareState` stays.
    """

    total_bytes: int | None
    mean_bpp: float | None
    predicted: bool
    judge: NamedJudge | None
    keep_state: bool

    @property
    def by(self) -> str:
        """Who says which pictures lose more: a judge's name, ``predicted``, or ``sizes`` alone."""
        if self.judge is not None:
            return self.judge.spec
        return Sensitivity.predicted.value if self.predicted else "sizes"

    @property
    def probing(self) -> Probing:
        """What is found out about each picture."""
        return Probing(self.predicted, self.judge)


@dataclass
class SharedRun:
    """What became of the files.

    Attributes:
        reports: one a job, in their order.
        totals: of all files together, for the report; empty where nothing was encoded.
        code: exit code.
    """

    reports: list[FileReport]
    totals: dict[str, Any] = field(default_factory=dict)
    code: int = 0

    def documents(self) -> list[dict[str, Any]]:
        """The reports as JSON has them."""
        return [report.as_json() for report in self.reports]


def parse_size(text: str) -> int:
    """Bytes of a size as people write it: ``12M`` and ``500k`` are decimal, ``12Mi`` is 12 * 2**20.

    Raises:
        UsageError: no size above 0.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0.0 if match is None else float(match[1]) * _UNITS[match[2].lower()]
    if not 1 <= size < math.inf:
        raise UsageError(f"--total must be bytes as 500000, 500k, 12M or 12Mi, not {text!r}")
    return int(size)


def _keys(settings: EncodeSettings, share: ShareSettings) -> tuple[str, str]:
    """What rate curves depend on, and what files do."""
    recipe = None if settings.recipe is None else settings.recipe.digest()
    common = [__version__, recipe, settings.keep_metadata]
    options = {name: value for name, value in settings.options.items() if name != "effort"}
    judge = None if share.judge is None else share.judge.digest()
    for_curves = [*common, options, share.predicted, probe_effort(settings), judge]
    for_files = [*common, settings.options]
    return _digest(for_curves), _digest(for_files)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _probe_job(
    job: Job, settings: EncodeSettings, share: ShareSettings, state: ShareState, policy: WritePolicy
) -> FileReport:
    if not state.is_ours(job):
        must_skip(job.target, policy)
    source = identity(job.source)
    curve = state.curve(source)
    if curve is None:
        picture = read_source(job.source.read(), keep_metadata=settings.keep_metadata)
        curve = probe_curve(picture, settings, share.probing)
        state.put_curve(source, curve)
    return FileReport(str(job.source), job.target_name, WRITTEN, values=curve)


def _encode_job(
    job: Job,
    steps: Mapping[Job, SharedStep],
    settings: EncodeSettings,
    state: ShareState,
    policy: WritePolicy,
    keep: bool = True,
) -> FileReport:
    """One file at the qp that its step says; left alone where it takes more than the step allows.

    Without ``keep`` it is only found out what the file takes, and nothing is written.
    """
    step, source = steps[job], identity(job.source)
    known = state.values(source, step.qp)
    there = known is not None and state.is_there(job, source, step.qp)
    if known is not None and there and _is_whole(known, settings):
        return _as_it_was(job, known)
    picture = read_source(job.source.read(), keep_metadata=settings.keep_metadata)
    if known is not None and there and job.target is not None:
        values = report_values(picture, job.target.read_bytes(), step.qp, known["seconds"], settings)
        return written(job, picture.notes, values)
    start = time.perf_counter()
    file = encode_source(picture, step.qp, settings)
    values = report_values(picture, file, step.qp, time.perf_counter() - start, settings)
    ours = state.is_ours(job)
    try:
        state.put_file(job, source, step.qp, file, values)
        if not keep or _too_large(len(file), step):
            tried = f"{job.source}: qp {step.qp} would take {len(file)} bytes"
            return FileReport(str(job.source), job.target_name, WRITTEN, values=values, summary=tried)
        write(job.target, file, _REPLACES if ours else policy)
    except OSError as error:
        # What the file takes is known and counts: the others get the qps that they have when the same command
        # goes on with more space.
        return FileReport(str(job.source), job.target_name, FAILED, describe(error), values=values)
    state.wrote(job)
    return written(job, picture.notes, values)


def _as_it_was(job: Job, values: dict[str, Any]) -> FileReport:
    return FileReport(
        str(job.source), job.target_name, WRITTEN, values=values, summary=f"{job.source}: as it was"
    )


def _recalled(job: Job, step: SharedStep, state: ShareState) -> FileReport | None:
    """What the state says about a file, wherever it is now; ``None`` where it says nothing."""
    try:
        values = state.values(identity(job.source), step.qp)
    except OSError:  # its own job will say so
        return None
    return None if values is None else _as_it_was(job, values)


def _is_whole(values: Mapping[str, Any], settings: EncodeSettings) -> bool:
    """Whether the report's fields are there, if the run that made the file was not asked for all of them."""
    return "psnr" in values or not settings.measure


def _too_large(size: int, step: SharedStep) -> bool:
    return 8 * size > step.most_bits


def encode_shared(
    jobs: list[Job],
    settings: EncodeSettings,
    share: ShareSettings,
    folder: Path,
    policy: WritePolicy,
    *,
    threads: int,
    quiet: bool,
) -> SharedRun:
    """Encodes all files at qps that are chosen together.

    No pictures are kept in memory, only numbers about them. A run that was stopped goes on from the state in
    the folder, and ends with the same files.

    Args:
        jobs: what to encode; each is read twice.
        settings: of every file.
        share: of all together.
        folder: of the results, for the state.
        policy: about files that exist and are not such a run's own.
        threads: files at the same time; the result does not depend on it.
        quiet: say only what failed.

    Raises:
        OSError: the state cannot be written.
    """
    policy = replace(policy, may_skip=False)
    folder.mkdir(parents=True, exist_ok=True)
    state = ShareState(folder / STATE_NAME, *_keys(settings, share))
    probe = partial(_probe_job, settings=settings, share=share, state=state, policy=policy)
    with crew("Probing", total=len(jobs), threads=threads, quiet=True) as workers:
        run = SharedRun(workers.run(jobs, probe, _REPLACES))
    good = [place for place, report in enumerate(run.reports) if report.status != FAILED]
    if good:
        curves = [run.reports[place].values for place in good]
        total_bits, budget = _budget(curves, share)
        if budget.least_bits > _HOPELESS * total_bits:
            return _too_few(run, good, total_bits, budget, state)
        encode = partial(_encode_job, settings=settings, state=state, policy=policy)
        # Files may be written more than once until the total is met: what became of each is said at the end.
        with crew("Encoding", total=len(good), threads=threads, quiet=True) as workers:
            encodes = _work_off(budget, total_bits, workers, jobs, good, encode, state, run.reports)
        if encodes is None:
            return _too_few(run, good, total_bits, budget, state)
        _clear_failed(run, jobs, state)
        _conclude(run, good, total_bits, encodes, share.by, quiet)
    run.code = max(run.code, exit_code(run.reports))
    if run.code != OK and not state.is_empty():
        say(f"npp: {state.path} stays: the same command goes on from it")
    elif not share.keep_state:
        state.remove()
    return run


def _clear_failed(run: SharedRun, jobs: list[Job], state: ShareState) -> None:
    """No file of a qp that was given up lies where the report says that there is none.

    What an earlier run has written there stays, and is named: nothing has taken its place.
    """
    for place, (job, report) in enumerate(zip(jobs, run.reports, strict=True)):
        if report.status == FAILED:
            run.reports[place] = replace(report, error=f"{report.error}{_cleared(job, state)}", values={})


def _cleared(job: Job, state: ShareState) -> str:
    """Removes this run's own file of a job that failed; says where one stays."""
    if job.target is None or not state.is_ours(job):
        return ""
    if state.has_written(job):
        with suppress(OSError):  # then it stays, too
            job.target.unlink()
    if not job.target.exists():
        return ""
    say(f"npp: {job.target} is still an earlier file")
    return f"; {job.target} is still an earlier file"


def _budget(curves: list[dict[str, Any]], share: ShareSettings) -> tuple[float, SharedBudget]:
    """The total in bits, and who shares it."""
    if share.total_bytes is not None:
        total = 8.0 * share.total_bytes
    else:
        total = (share.mean_bpp or 0.0) * sum(curve["pixels"] for curve in curves)
    bits = np.array([curve_bits(curve) for curve in curves])
    return total, SharedBudget(bits, total, **set_losses(curves))


def _is_hopeless(budget: SharedBudget, total_bits: float) -> bool:
    """Whether even qp 51 will take more, by files of it, and at least half of the work can still be saved."""
    kept, known = budget.qps, budget.total_bits
    if not kept or len(kept) > budget.left or min(kept.values()) < MAX_QP:
        return False
    return known + (budget.least_bits - known) / _UNLIKELY > total_bits


def _work_off(
    budget: SharedBudget,
    total_bits: float,
    workers: Crew,
    jobs: list[Job],
    good: list[int],
    encode: Any,
    state: ShareState,
    reports: list[FileReport],
) -> int | None:
    """Encodes until the budget is satisfied; gives the number of encodes, ``None`` where it cannot be.

    What the state knows already is believed as long as qps are being chosen: only the files of the qps that
    stay in the end are looked for, and encoded if they are not there. So are the first ones of a total so
    small that they get qp 51 at once: where they show that it cannot be met, no file has been touched.
    """
    encodes = 0
    begun = False
    unseen: dict[Job, SharedStep] = {}
    while steps := budget.next():
        by_job = {jobs[good[step.picture]]: step for step in steps}
        outcomes = {job: report for job in by_job if (report := _recalled(job, by_job[job], state))}
        new = [job for job in by_job if job not in outcomes]
        keep = begun or any(step.qp < MAX_QP for step in steps)
        made = workers.run(new, partial(encode, steps=by_job, keep=keep), _REPLACES)
        outcomes |= zip(new, made, strict=True)
        encodes += len(new)
        for job, step in by_job.items():
            report = outcomes[job]
            if report.status == FAILED and not report.values:
                budget.drop(step)
            elif not budget.record(step, 8 * report.values["bytes"]):
                continue
            reports[good[step.picture]] = report
            unseen.pop(job, None)
            if job not in new or not keep:
                unseen[job] = step
        if not begun and _is_hopeless(budget, total_bits):
            return None
        begun = True
    found = workers.run(list(unseen), partial(encode, steps=unseen), _REPLACES)
    for step, report in zip(unseen.values(), found, strict=True):
        reports[good[step.picture]] = report
    return encodes


def _conclude(run: SharedRun, good: list[int], total_bits: float, encodes: int, by: str, quiet: bool) -> None:
    """The totals for the report and for people."""
    files = [run.reports[place].values for place in good if run.reports[place].status != FAILED]
    size = sum(values["bytes"] for values in files)
    pixels = sum(values["width"] * values["height"] * values["frames"] for values in files)
    run.totals = {
        "asked_bytes": int(total_bits // 8),
        "bytes": size,
        "bpp": 8 * size / pixels if pixels else None,
        "pictures": len(files),
        "encodes": encodes,
        "by": by,
    }
    if not quiet:
        for report in (run.reports[place] for place in good):
            for line in report.lines() if report.status != FAILED else ():
                say(line)
        say(counts(run.reports))
        say(f"{size} of {int(total_bits // 8)} bytes" + (f", {8 * size / pixels:.4g} bpp" if pixels else ""))
    if 8 * size > total_bits:
        run.code = SOME_FAILED
        say(f"npp: the files take {size} bytes, more than {int(total_bits // 8)}, at the highest qp already")


def _too_few(
    run: SharedRun, good: list[int], total_bits: float, budget: SharedBudget, state: ShareState
) -> SharedRun:
    """No picture has a file where the total is far below what the highest qp takes."""
    by = "the first files" if budget.qps else "quick files"
    least = int(budget.least_bits / 8)
    error = f"{int(total_bits // 8)} bytes in all are too few: by {by} qp {MAX_QP} takes about {least}"
    say(f"npp: {error}; what was found out stays in {state.path}")
    for place in good:
        if run.reports[place].status != FAILED:
            run.reports[place] = replace(run.reports[place], status=FAILED, error=error, values={})
    run.code = SOME_FAILED
    return run
