"""Many files whose qps are chosen together: probed quickly, then encoded so that their total is met."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from npp.allocation.shared_budget import SharedBudget
from npp.batch.file_encoding import EncodeSettings
from npp.batch.named_judges import NamedJudge
from npp.batch.picture_probing import Probing, probe_curve, probe_effort
from npp.batch.picture_reading import read_source
from npp.batch.probed_curves import ProbedCurve, arguments_about_losses, bits_of
from npp.checks import MAX_QP
from npp.cli.file_reports import FAILED, OK, SOME_FAILED, WRITTEN, FileReport, UsageError, counts
from npp.cli.jobs import crew, exit_code
from npp.cli.output_files import Job, WritePolicy, must_skip
from npp.cli.share_state import STATE_NAME, ShareState, identity
from npp.cli.share_work import REPLACES, SharedWork, encode_job_at
from npp.cli.streams import say
from npp.codec.build import __version__
from npp.config.digests import digest_of

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", re.IGNORECASE)
# Times the total: what qp 51 takes by the curves, when it is not even tried. Files of high efforts take less
# than half of what the curves, which are continued there, say of them.
_HOPELESS = 4.0


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
        return "predicted" if self.predicted else "sizes"

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
    return digest_of(for_curves, 16), digest_of(for_files, 16)


def _probe_job(
    job: Job,
    settings: EncodeSettings,
    share: ShareSettings,
    state: ShareState,
    policy: WritePolicy,
    curves: dict[Job, ProbedCurve],
) -> FileReport:
    """Puts a job's curve among the others; the report only says whether there is one."""
    if not state.is_ours(job):
        must_skip(job.target, policy)
    source = identity(job.source)
    curve = state.curve(source)
    if curve is None:
        picture = read_source(job.source.read(), keep_metadata=settings.keep_metadata)
        curve = probe_curve(picture, settings, share.probing)
        state.put_curve(source, curve)
    curves[job] = curve
    return FileReport(str(job.source), job.target_name, WRITTEN)


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
    curves: dict[Job, ProbedCurve] = {}
    probe = partial(_probe_job, settings=settings, share=share, state=state, policy=policy, curves=curves)
    with crew("Probing", total=len(jobs), threads=threads, quiet=True) as workers:
        run = SharedRun(workers.run(jobs, probe, REPLACES))
    good = [place for place, report in enumerate(run.reports) if report.status != FAILED]
    if good:
        total_bits, budget = _budget([curves[jobs[place]] for place in good], share)
        if budget.least_bits > _HOPELESS * total_bits:
            return _too_few(run, good, total_bits, budget, state)
        encode = partial(encode_job_at, settings=settings, state=state, policy=policy)
        # Files may be written more than once until the total is met: what became of each is said at the end.
        with crew("Encoding", total=len(good), threads=threads, quiet=True) as workers:
            work = SharedWork(
                [jobs[place] for place in good],
                [run.reports[place] for place in good],
                workers,
                encode,
                state,
            )
            is_met = work.work_off(budget, total_bits)
        for place, report in zip(good, work.reports, strict=True):
            run.reports[place] = report
        if not is_met:
            return _too_few(run, good, total_bits, budget, state)
        _clear_failed(run, jobs, state)
        _conclude(run, good, total_bits, work.encodes, share.by, quiet)
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


def _budget(curves: list[ProbedCurve], share: ShareSettings) -> tuple[float, SharedBudget]:
    """The total in bits, and who shares it."""
    if share.total_bytes is not None:
        total = 8.0 * share.total_bytes
    else:
        total = (share.mean_bpp or 0.0) * sum(curve.pixels for curve in curves)
    return total, SharedBudget(bits_of(curves), total, **arguments_about_losses(curves))


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
