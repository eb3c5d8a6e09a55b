"""Encoding of files that share bits: quick samples first, then files whose total meets the budget."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from npp.allocation.shared_budget import SharedBudget
from npp.batch.file_encoding import EncodeSettings
from npp.batch.picture_curves import PictureCurve, arguments_about_losses, bits_of, total_bits
from npp.batch.picture_reading import read_source
from npp.batch.rate_sampling import sample_curve, sampling_effort
from npp.checks import MAX_QP
from npp.cli.encode_request import EncodeRequest, ShareSettings
from npp.cli.exit_codes import OK, SOME_FAILED
from npp.cli.file_reports import FAILED, WRITTEN, FileReport, counts
from npp.cli.jobs import crew, exit_code
from npp.cli.output_files import Job, must_skip
from npp.cli.share_state import STATE_NAME, ShareState, file_identity
from npp.cli.share_work import REPLACES, SharedWork, encode_job_at
from npp.cli.streams import say
from npp.codec.build import __version__
from npp.config.digests import digest_of

# If the curves at qp 51 exceed the total by this factor, no file is tried. Files of high efforts take less
# than half of what the curves, which are continued there, say of them.
_HOPELESS = 4.0


def _keys(settings: EncodeSettings, share: ShareSettings) -> tuple[str, str]:
    """Digests of the settings that rate curves depend on, and of those that files depend on."""
    recipe = None if settings.recipe is None else settings.recipe.digest()
    common = [__version__, recipe, settings.keep_metadata]
    options = {name: value for name, value in settings.options.items() if name != "effort"}
    judge = None if share.judge is None else share.judge.digest()
    for_curves = [*common, options, share.predicted, sampling_effort(settings), judge]
    for_files = [*common, settings.options]
    return digest_of(for_curves, 16), digest_of(for_files, 16)


class SharedRun:
    """A run that encodes files at qps chosen together.

    Only numbers about pictures are kept in memory. A stopped run continues from the state in the output
    folder, and ends with the same files.

    Args:
        request: a request with sharing.
        jobs: the files to encode; each is read twice.
        threads: number of files at the same time; the result does not depend on it.

    Attributes:
        reports: one for each job, in their order.
        totals: totals of all files for the report; empty if nothing was encoded.
        code: the exit code.

    Raises:
        OSError: the folder cannot be created, or its state cannot be read.
    """

    def __init__(self, request: EncodeRequest, jobs: Sequence[Job], threads: int) -> None:
        assert request.sharing is not None
        self.reports: list[FileReport] = []
        self.totals: dict[str, Any] = {}
        self.code = OK
        self._jobs, self._threads, self._quiet = jobs, threads, request.quiet
        self._settings, self._share = request.settings, request.sharing
        self._policy = replace(request.policy, may_skip=False)
        folder = Path(request.output)
        folder.mkdir(parents=True, exist_ok=True)
        self._state = ShareState(folder / STATE_NAME, *_keys(self._settings, self._share))
        self._curves: dict[Job, PictureCurve] = {}
        self._sampled: list[int] = []  # indices of the jobs whose pictures have curves

    def encode(self) -> None:
        """Encodes all files.

        Raises:
            OSError: the state cannot be written.
        """
        self._sample()
        if self._sampled and not self._encode_sampled():
            return  # the state is kept for a run with a larger total
        self.code = max(self.code, exit_code(self.reports))
        if self.code != OK and not self._state.is_empty():
            say(f"npp: {self._state.path} stays: the same command goes on from it")
        elif not self._share.keep_state:
            self._state.remove()

    def _sample(self) -> None:
        with crew("Sampling", total=len(self._jobs), threads=self._threads, quiet=True) as workers:
            self.reports = workers.run(self._jobs, self._sample_job, REPLACES)
        self._sampled = [index for index, report in enumerate(self.reports) if report.status != FAILED]

    def _sample_job(self, job: Job) -> FileReport:
        """Samples the curve of a job; the report says whether that succeeded."""
        if not self._state.is_ours(job):
            must_skip(job.target, self._policy)
        source = file_identity(job.source)
        curve = self._state.curve(source)
        if curve is None:
            picture = read_source(job.source.read(), keep_metadata=self._settings.keep_metadata)
            curve = sample_curve(picture, self._settings, self._share.sampling)
            self._state.put_curve(source, curve)
        self._curves[job] = curve
        return FileReport(str(job.source), job.target_name, WRITTEN)

    def _encode_sampled(self) -> bool:
        """Encodes the files of sampled pictures; returns whether the total can be met."""
        curves = [self._curves[self._jobs[index]] for index in self._sampled]
        total = total_bits(curves, self._share.total_bytes, self._share.mean_bpp)
        budget = SharedBudget(bits_of(curves), total, **arguments_about_losses(curves))
        encodes = None if budget.least_bits > _HOPELESS * total else self._encode_within(budget, total)
        if encodes is None:
            self._refuse_total(budget, total)
            return False
        self._clear_failed()
        self._sum_up(total, encodes)
        return True

    def _encode_within(self, budget: SharedBudget, total: float) -> int | None:
        """Encodes until the total is met; returns the number of encodes, ``None`` if it cannot be met."""
        encode = partial(encode_job_at, settings=self._settings, state=self._state, policy=self._policy)
        jobs = [self._jobs[index] for index in self._sampled]
        reports = [self.reports[index] for index in self._sampled]
        # Files may be written more than once until the total is met, so reports are printed at the end.
        with crew("Encoding", total=len(jobs), threads=self._threads, quiet=True) as workers:
            work = SharedWork(jobs, reports, workers, encode, self._state)
            is_met = work.work_off(budget, total)
        for index, report in zip(self._sampled, work.reports, strict=True):
            self.reports[index] = report
        return work.encodes if is_met else None

    def _refuse_total(self, budget: SharedBudget, total: float) -> None:
        """Reports a failure for every picture, for the total is far below the files of the highest qp."""
        by = "the first files" if budget.qps else "quick files"
        least = int(budget.least_bits / 8)
        error = f"{int(total // 8)} bytes in all are too few: by {by} qp {MAX_QP} takes about {least}"
        say(f"npp: {error}; what was found out stays in {self._state.path}")
        for index in self._sampled:
            if self.reports[index].status != FAILED:
                self.reports[index] = replace(self.reports[index], status=FAILED, error=error, values={})
        self.code = SOME_FAILED

    def _clear_failed(self) -> None:
        """Removes this run's files of failed jobs, so that no file lies where the report says there is none.

        Files of earlier runs are kept and named in the report, for nothing has replaced them.
        """
        for index, (job, report) in enumerate(zip(self._jobs, self.reports, strict=True)):
            if report.status == FAILED:
                error = f"{report.error}{self._cleared(job)}"
                self.reports[index] = replace(report, error=error, values={})

    def _cleared(self, job: Job) -> str:
        """Removes this run's own file of a failed job; the report names a file that is kept."""
        if job.target is None or not self._state.is_ours(job):
            return ""
        if self._state.has_written(job):
            with suppress(OSError):  # the file is kept then, too
                job.target.unlink()
        if not job.target.exists():
            return ""
        say(f"npp: {job.target} is still an earlier file")
        return f"; {job.target} is still an earlier file"

    def _sum_up(self, total: float, encodes: int) -> None:
        """Sets the totals of the report and prints them."""
        reports = [self.reports[index] for index in self._sampled]
        reports = [report for report in reports if report.status != FAILED]
        size = sum(report.values["bytes"] for report in reports)
        pixels = sum(
            report.values["width"] * report.values["height"] * report.values["frames"] for report in reports
        )
        self.totals = {
            "asked_bytes": int(total // 8),
            "bytes": size,
            "bpp": 8 * size / pixels if pixels else None,
            "pictures": len(reports),
            "encodes": encodes,
            "by": self._share.by,
        }
        if not self._quiet:
            for line in (line for report in reports for line in report.lines()):
                say(line)
            say(counts(self.reports))
            say(f"{size} of {int(total // 8)} bytes" + (f", {8 * size / pixels:.4g} bpp" if pixels else ""))
            if reports and all(report.values["qp"] == 0 for report in reports):
                say("npp: the total is not used up: every file is at qp 0, the best, and can take no more")
        if 8 * size > total:
            self.code = SOME_FAILED
            say(f"npp: the files take {size} bytes, more than {int(total // 8)}, at the highest qp already")
