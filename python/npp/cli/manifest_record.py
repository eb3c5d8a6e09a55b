"""The manifest of a run of ``npp encode``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import Self

from npp.batch.existing_results import existing_bpg
from npp.batch.manifest import ManifestFile, ManifestRow, name_in_manifest, read_manifest
from npp.batch.outcomes import FileResult, describe
from npp.cli.exit_codes import SOME_FAILED, UsageError
from npp.cli.file_reports import FAILED, SKIPPED, FileReport
from npp.cli.output_files import Job, WritePolicy
from npp.cli.side_files import check_side_file
from npp.cli.streams import say


def check_manifest(
    path: Path, jobs: Sequence[Job], policy: WritePolicy, *, goes_on: bool | None = None
) -> None:
    """Raises UsageError unless a run may write its manifest to a path.

    Args:
        path: path of the manifest.
        jobs: the files that the command reads and writes.
        policy: whether it may exist.
        goes_on: for files that share bits, whether a stopped run with this manifest is continued.

    Raises:
        UsageError: the file is an input or an output of the command, is no manifest, or exists and may not.
    """
    check_side_file("--manifest", path, jobs)
    if not path.exists():
        return
    try:
        next(read_manifest(path), None)  # the first row comes after all lines were checked
    except (OSError, ValueError) as error:
        raise UsageError(f"--manifest must be a manifest or a new file: {describe(error)}") from None
    if not (policy.skip_existing or policy.force or goes_on):
        ways = "" if goes_on is False else "--skip-existing goes on with it, "
        raise UsageError(f"{path} exists; {ways}--force begins it anew")


class ManifestRecord:
    """The manifest of a run, which no other run can write until the block ends.

    A row is written before its file: a killed run may leave rows without a file, which the next run makes,
    but no files without a row. So a manifest that starts afresh keeps its old rows, whose files exist, until
    the new rows are complete.

    Args:
        path: path of the manifest, checked by :func:`check_manifest`.
        policy: whether it is continued or starts afresh.

    Raises:
        UsageError: the file cannot be written, or another run writes it.
    """

    def __init__(self, path: Path, policy: WritePolicy) -> None:
        try:
            self._manifest = ManifestFile(path)
        except (OSError, ValueError) as error:
            raise UsageError(f"--manifest: {describe(error)}") from None
        self._recorded: set[str] = set()
        self._anew = policy.force

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_stop: object) -> None:
        self._manifest.close()

    def _row(self, job: Job, result: FileResult) -> ManifestRow:
        assert job.target is not None
        return ManifestRow.of(str(job.source), self._name(job), result)

    def _name(self, job: Job) -> str:
        assert job.target is not None
        return name_in_manifest(job.target, self._manifest.folder)

    def made(self, job: Job, result: FileResult) -> None:
        """Adds the row of a file that is about to be written."""
        self._manifest.add(self._row(job, result))
        self._recorded.add(str(job.source))

    def conclude(self, jobs: Sequence[Job], reports: Sequence[FileReport]) -> list[FileReport]:
        """Completes the manifest after all jobs: failures and files without a row get one.

        Returns:
            The reports; existing files that are no results of the run have become failures.
        """
        looked_at = [self._looked_at(job, report) for job, report in zip(jobs, reports, strict=True)]
        self._manifest.finish({str(job.source) for job in jobs} if self._anew else None)
        return looked_at

    def _looked_at(self, job: Job, report: FileReport) -> FileReport:
        """Adds a row for a job that has none; returns its report, a failure if the row is about an error."""
        if report.status == FAILED:
            self._manifest.add(self._row(job, FileResult.failed(report.error or "")))
            return report
        if self._is_known(job) if report.status == SKIPPED else str(job.source) in self._recorded:
            return report
        there = _existing_result(job, report.values)
        self._manifest.add(self._row(job, there))
        return report if there.error is None else replace(report, status=FAILED, error=there.error)

    def _is_known(self, job: Job) -> bool:
        row = self._manifest.get(str(job.source))
        assert job.target is not None
        return row is not None and row.output == self._name(job) and row.bytes == job.target.stat().st_size


def conclude(
    record: ManifestRecord | None, jobs: Sequence[Job], reports: Sequence[FileReport], code: int
) -> tuple[Sequence[FileReport], int]:
    """Completes the manifest of a run, if it has one.

    Errors are printed, and the report is made nevertheless.

    Returns:
        The reports and the exit code, which is that of a failure if the manifest could not be written or an
        existing file is no result of the run.
    """
    if record is None:
        return reports, code
    try:
        looked_at = record.conclude(jobs, reports)
    except OSError as error:
        say(f"npp: --manifest: {describe(error)}")
        return reports, SOME_FAILED
    changed = [now for now, before in zip(looked_at, reports, strict=True) if now.status != before.status]
    for report in changed:
        for line in report.lines():
            say(line)
    return looked_at, SOME_FAILED if changed else code


def _existing_result(job: Job, values: Mapping[str, Any]) -> FileResult:
    """The result for a file that existed before the run."""
    assert job.target is not None
    return existing_bpg(str(job.target), job.target.read_bytes, values)
