"""Running jobs on many files in parallel; one bad file does not stop the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import copy_context

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from npp.batch.outcomes import describe, single_line
from npp.cli.exit_codes import OK, SOME_FAILED, STOPPED
from npp.cli.file_reports import FAILED, SKIPPED, FileReport, counts, in_options
from npp.cli.output_files import Job, WritePolicy, must_skip
from npp.cli.progress_bars import SilentProgress
from npp.cli.streams import console, is_terminal, say


def _attempt(job: Job, work: Callable[[Job], FileReport], policy: WritePolicy) -> FileReport:
    try:
        if must_skip(job.target, policy):
            return FileReport(str(job.source), job.target_name, SKIPPED)
        return work(job)
    except Exception as error:  # a damaged file may raise anything, and the others go on
        status = SKIPPED if isinstance(error, FileExistsError) and _is_there(job, policy) else FAILED
        return FileReport(str(job.source), job.target_name, status, in_options(describe(error)))


def _is_there(job: Job, policy: WritePolicy) -> bool:
    """Whether another process has written the result meanwhile, and the policy accepts that."""
    return policy.skip_existing and job.target is not None and job.target.is_file()


@contextmanager
def cancelling(pool: ThreadPoolExecutor) -> Iterator[None]:
    """On Ctrl-C: no new files, and those being worked on are finished; a second one leaves at once."""
    try:
        yield
    except KeyboardInterrupt:
        try:
            say("npp: the files that are being worked on are finished; Ctrl-C again leaves at once")
            pool.shutdown(wait=True, cancel_futures=True)
        except KeyboardInterrupt:
            os._exit(STOPPED)  # without cleaning up, as if killed: incomplete files have temporary names
        raise
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


def _progress(title: str) -> Progress:
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = is_terminal(sys.stderr)
    return SilentProgress(*columns, console=console(stderr=True), transient=True, disable=not terminal)


def _say(report: FileReport, progress: Progress) -> None:
    for line in report.lines():
        if progress.disable:
            say(line)
        else:  # the line appears above the bar
            progress.console.print(single_line(line), markup=False, highlight=False, soft_wrap=True)


class Crew:
    """Threads that run several lists of jobs, one after the other.

    Args:
        pool: the threads.
        progress: the progress bar.
        task: the task of the bar.
        quiet: whether only failures are reported.
    """

    def __init__(self, pool: ThreadPoolExecutor, progress: Progress, task: TaskID, quiet: bool) -> None:
        self._pool, self._progress, self._task, self._quiet = pool, progress, task, quiet

    def run(
        self, jobs: Sequence[Job], work: Callable[[Job], FileReport], policy: WritePolicy
    ) -> list[FileReport]:
        """Does the work for every job.

        Args:
            jobs: what to do.
            work: does one job, in any thread.
            policy: about existing files.

        Returns:
            Reports in the order of the jobs.
        """
        # Within a copy of this context, for the limit on pixels belongs to the context.
        futures = [self._pool.submit(copy_context().run, _attempt, job, work, policy) for job in jobs]
        for future in as_completed(futures):
            report = future.result()
            if report.status == FAILED or not self._quiet:
                _say(report, self._progress)
            self._progress.advance(self._task)
        return [future.result() for future in futures]


@contextmanager
def crew(title: str, *, total: int, threads: int, quiet: bool) -> Iterator[Crew]:
    """Threads for jobs, with a progress bar that is drawn on terminals only.

    Args:
        title: text before the bar.
        total: number of jobs of all runs together.
        threads: number of jobs at the same time.
        quiet: whether only failures are reported.
    """
    with (
        ThreadPoolExecutor(max(1, min(threads, total))) as pool,
        cancelling(pool),
        _progress(title) as progress,
    ):
        yield Crew(pool, progress, progress.add_task(title, total=total), quiet)


def exit_code(reports: Sequence[FileReport]) -> int:
    """The exit code of a command with these reports."""
    return SOME_FAILED if any(report.status == FAILED for report in reports) else OK


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[[Job], FileReport],
    *,
    title: str,
    policy: WritePolicy,
    threads: int,
    quiet: bool,
) -> tuple[list[FileReport], int]:
    """Does the work for every job.

    Args:
        jobs: what to do.
        work: does one job, in any thread.
        title: text before the progress bar, which is drawn on terminals only.
        policy: what happens to files that exist.
        threads: number of jobs at the same time.
        quiet: whether only failures are reported.

    Returns:
        Reports in the order of the jobs, and the exit code.
    """
    with crew(title, total=len(jobs), threads=threads, quiet=quiet) as workers:
        reports = workers.run(jobs, work, policy)
    if len(jobs) > 1 and not quiet:
        say(counts(reports))
    return reports, exit_code(reports)
