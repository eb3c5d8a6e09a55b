"""Encoding at the qps of a shared budget until its total is met."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from npp.allocation.shared_budget import SharedBudget, SharedStep
from npp.batch.file_encoding import EncodeSettings, encode_source, report_values
from npp.batch.outcomes import describe
from npp.batch.picture_reading import read_source
from npp.checks import MAX_QP
from npp.cli.encode_job import written
from npp.cli.file_reports import FAILED, WRITTEN, FileReport
from npp.cli.jobs import Crew
from npp.cli.output_files import Job, WritePolicy, write
from npp.cli.share_state import ShareState, file_identity

REPLACES = WritePolicy(force=True)
# If the first files at qp 51 predict this many times the total, the others are not tried. The first files
# show by how much the curves are off; only a set of very different pictures has others at half of that.
_UNLIKELY = 2.0

#: Encodes a job at a step's qp; the last argument says whether the file is written.
EncodeAt: TypeAlias = Callable[[Job, SharedStep, bool], FileReport]


def encode_job_at(
    job: Job,
    step: SharedStep,
    keep: bool,
    *,
    settings: EncodeSettings,
    state: ShareState,
    policy: WritePolicy,
) -> FileReport:
    """Encodes one file at the qp of a step; it is not written if it is larger than the step allows.

    Args:
        job: the file.
        step: its qp, and the most bits that it may have.
        keep: whether the file is written; else only its size is wanted.
        settings: the settings for every file.
        state: results of this run and of earlier ones.
        policy: what happens to existing files that are not in the state.
    """
    source = file_identity(job.source)
    known = state.values(source, step.qp)
    is_there = known is not None and state.is_there(job, source, step.qp)
    if known is not None and is_there and _is_whole(known, settings):
        return _as_it_was(job, known)
    picture = read_source(job.source.read(), keep_metadata=settings.keep_metadata)
    if known is not None and is_there and job.target is not None:
        file = job.target.read_bytes()
        values, unmeasured = report_values(picture, file, step.qp, known["seconds"], settings)
        return written(job, (*picture.notes, *unmeasured), values)
    start = time.perf_counter()
    file = encode_source(picture, step.qp, settings)
    values, unmeasured = report_values(picture, file, step.qp, time.perf_counter() - start, settings)
    ours = state.is_ours(job)
    try:
        # A value that could not be measured is not stored, for another run may have the memory.
        known_values = {name: value for name, value in values.items() if name != "psnr" or not unmeasured}
        state.put_file(job, source, step.qp, file, known_values)
        if not keep or _too_large(len(file), step):
            tried = f"{job.source}: qp {step.qp} would take {len(file)} bytes"
            return FileReport(str(job.source), job.target_name, WRITTEN, values=values, summary=tried)
        write(job.target, file, REPLACES if ours else policy)
    except OSError as error:
        # The size of the file is known and counts: others get the qps that they have when the same command
        # goes on with more space.
        return FileReport(str(job.source), job.target_name, FAILED, describe(error), values=values)
    state.wrote(job)
    return written(job, (*picture.notes, *unmeasured), values)


def _as_it_was(job: Job, values: dict[str, Any]) -> FileReport:
    return FileReport(
        str(job.source), job.target_name, WRITTEN, values=values, summary=f"{job.source}: as it was"
    )


def _recalled(job: Job, step: SharedStep, state: ShareState) -> FileReport | None:
    """The state's result for a file, which need not exist; ``None`` if there is none."""
    try:
        values = state.values(file_identity(job.source), step.qp)
    except OSError:  # its own job will report it
        return None
    return None if values is None else _as_it_was(job, values)


def _is_whole(values: Mapping[str, Any], settings: EncodeSettings) -> bool:
    """Whether the stored fields are all that the report needs; another run may have measured fewer."""
    return "psnr" in values or not settings.measure


def _too_large(size: int, step: SharedStep) -> bool:
    return 8 * size > step.most_bits


def _is_hopeless(budget: SharedBudget, total_bits: float) -> bool:
    """Whether files at qp 51 show that the total cannot be met, and half of the work can still be saved."""
    qps, bits = budget.qps, budget.total_bits
    if not qps or len(qps) > budget.left or min(qps.values()) < MAX_QP:
        return False
    return bits + (budget.least_bits - bits) / _UNLIKELY > total_bits


@dataclass
class SharedWork:
    """The files of a shared budget while their qps are being chosen.

    Attributes:
        jobs: one for each picture of the budget.
        reports: the reports so far, in the order of the jobs.
        workers: the threads that do the work.
        encode: encodes one job at a step.
        state: stored results, which need no encoding.
        encodes: number of files that were encoded.
    """

    jobs: Sequence[Job]
    reports: list[FileReport]
    workers: Crew
    encode: EncodeAt
    state: ShareState
    encodes: int = 0
    # Indices of pictures whose files were not looked for in the output folder yet.
    _unseen: dict[int, SharedStep] = field(default_factory=dict)

    def work_off(self, budget: SharedBudget, total_bits: float) -> bool:
        """Encodes until the budget is satisfied; returns whether it can be.

        Stored results are trusted while qps are being chosen: only the files of the final qps are looked for,
        and encoded if they are missing. If the total is so small that all files get qp 51 at once, the first
        files are measured without being written: if they show that it cannot be met, no file was changed.
        """
        begun = False
        while steps := budget.next():
            keep = begun or any(step.qp < MAX_QP for step in steps)
            self._account(budget, *self._attempt(steps, keep))
            if not begun and _is_hopeless(budget, total_bits):
                return False
            begun = True
        self._finish()
        return True

    def _attempt(
        self, steps: Sequence[SharedStep], keep: bool
    ) -> tuple[list[tuple[SharedStep, FileReport]], set[int]]:
        """The outcomes of some steps, and the pictures whose files were found in the output folder."""
        recalled = {step.picture: _recalled(self.jobs[step.picture], step, self.state) for step in steps}
        missing = [step for step in steps if recalled[step.picture] is None]
        encoded = dict(zip((step.picture for step in missing), self._encoded(missing, keep), strict=True))
        self.encodes += len(missing)
        outcomes = [(step, recalled[step.picture] or encoded[step.picture]) for step in steps]
        return outcomes, set(encoded) if keep else set()

    def _encoded(self, steps: Sequence[SharedStep], keep: bool) -> list[FileReport]:
        by_job = {self.jobs[step.picture]: step for step in steps}
        return self.workers.run(list(by_job), lambda job: self.encode(job, by_job[job], keep), REPLACES)

    def _account(
        self, budget: SharedBudget, outcomes: Sequence[tuple[SharedStep, FileReport]], seen: set[int]
    ) -> None:
        """Passes the outcomes to the budget, and keeps the reports that count."""
        for step, report in outcomes:
            if report.status == FAILED and not report.values:
                budget.drop(step)
            elif not budget.record(step, 8 * report.values["bytes"]):
                continue
            self.reports[step.picture] = report
            self._unseen.pop(step.picture, None)
            if step.picture not in seen:
                self._unseen[step.picture] = step

    def _finish(self) -> None:
        """Looks for the files that were not looked for yet, and encodes those that are missing."""
        steps = list(self._unseen.values())
        for step, report in zip(steps, self._encoded(steps, keep=True), strict=True):
            self.reports[step.picture] = report
