"""What a run of ``npp encode`` puts into its manifest."""

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
    """That a run may write its manifest there.

    Args:
        path: of the manifest.
        jobs: all that the command reads and writes.
        policy: whether it may exist.
        goes_on: of bits that are shared, whether a stopped run is gone on with, whose manifest this is.

    Raises:
        UsageError: it is an input or an output of the command, a file that is no manifest, or one that exists
            and may not.
    """
    check_side_file("--manifest", path, jobs)
    if not path.exists():
        return
    try:
        next(read_manifest(path), None)  # every line is looked at before there is a first row
    except (OSError, ValueError) as error:
        raise UsageError(f"--manifest must be a manifest or a new file: {describe(error)}") from None
    if not (policy.skip_existing or policy.force or goes_on):
        ways = "" if goes_on is False else "--skip-existing goes on with it, "
        raise UsageError(f"{path} exists; {ways}--force begins it anew")


class ManifestRecord:
    """The manifest of a run, which no other run can write until the block ends.

    A row is in the manifest before its file is there: a killed run leaves rows without a file, which the next
    one makes, and no files without a row. So a manifest that is begun anew keeps its old rows, whose files
    are there, until the new ones are complete.

    Args:
        path: of the manifest, as :func:`check_manifest` lets it pass.
        policy: whether it goes on or is begun anew.

    Raises:
        UsageError: it cannot be written, or another run writes it.
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
        """A file is about to be written."""
        self._manifest.add(self._row(job, result))
        self._recorded.add(str(job.source))

    def conclude(self, jobs: Sequence[Job], reports: Sequence[FileReport]) -> list[FileReport]:
        """All jobs are done: what failed gets a row, and so does a file that has none yet.

        Returns:
            The reports; those of files that were there and are no results are failures now.
        """
        looked_at = [self._looked_at(job, report) for job, report in zip(jobs, reports, strict=True)]
        self._manifest.finish({str(job.source) for job in jobs} if self._anew else None)
        return looked_at

    def _looked_at(self, job: Job, report: FileReport) -> FileReport:
        """Gives a job its row where it has none; its report, a failure where its row is one."""
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
    """Ends a run's manifest, if it has one.

    What went wrong is said, and is no reason to say nothing else.

    Returns:
        The reports and the exit code: the run's as long as the manifest is written, and all files that were
        there before are results.
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
    """A file that is there, with what is known about it."""
    assert job.target is not None
    return existing_bpg(str(job.target), job.target.read_bytes, values)
