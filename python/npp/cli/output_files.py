"""The output files of a command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from npp.cli.exit_codes import UsageError
from npp.cli.input_files import Input, Inputs
from npp.cli.streams import write_output
from npp.files import check_target, write_file, write_together

STDOUT = "-"
_NUMBER = re.compile(r"%0?\d*d")


@dataclass(frozen=True)
class Job:
    """A file to read and the file to make from it.

    Attributes:
        source: the file to read.
        target: the file to write; ``None`` is standard output.
        is_sequence: the target's name has a place for a frame's number, as in ``frame-%04d.png``.
    """

    source: Input
    target: Path | None
    is_sequence: bool = False

    @property
    def target_name(self) -> str:
        """Name of the target for people."""
        return "standard output" if self.target is None else str(self.target)


@dataclass(frozen=True)
class WritePolicy:
    """What happens to a file that exists already: an error, unless one of the first two is set.

    Attributes:
        force: whether it is replaced.
        skip_existing: whether it is left alone.
        may_skip: whether the command has ``--skip-existing``, so that a message may suggest it.
    """

    force: bool = False
    skip_existing: bool = False
    may_skip: bool = True

    @property
    def ways_out(self) -> str:
        """The end of a message about a file that exists, with the options to try."""
        return "; --force replaces it" + (", --skip-existing leaves it" if self.may_skip else "")


def numbered(path: Path, number: int) -> Path:
    """The path of a frame in a sequence."""
    return path.with_name(_NUMBER.sub(lambda match: match.group() % number, path.name, count=1))


def check_sequences(jobs: Sequence[Job]) -> None:
    """Raises UsageError unless no sequence of frames could replace a file that is read."""
    sources = [os.path.realpath(job.source.path) for job in jobs if job.source.path is not None]
    for target in (job.target for job in jobs if job.is_sequence and job.target is not None):
        for source in sources:
            number = _number_in(Path(source).name, target.name)
            if number is not None and os.path.realpath(numbered(target, number)) == source:
                raise UsageError(f"{source} could be one of {target} and is read; choose another --output")


def _number_in(name: str, pattern: str) -> int | None:
    """The number in the name of a file of a sequence; ``None`` if the file does not belong to it."""
    before, after = _NUMBER.split(pattern, maxsplit=1)
    match = re.fullmatch(rf"{re.escape(before)}(\d+){re.escape(after)}", name)
    return None if match is None else int(match[1])


def later_frames(target: Path, frames: int) -> list[Path]:
    """Existing files whose names are those of frames after the last one of a sequence, in order.

    Args:
        target: the path with the place for a number.
        frames: number of frames of the sequence; the first one has the number 1.
    """
    try:
        names = {path.name for path in target.parent.iterdir()}
    except OSError:  # the folder may be writable but not readable
        return []
    numbers = (_number_in(name, target.name) for name in names)
    later = sorted({number for number in numbers if number is not None and number > frames})
    return [path for path in (numbered(target, number) for number in later) if path.name in names]


def _is_folder(out: str, inputs: Inputs) -> bool:
    if inputs.several or out.endswith(("/", os.sep)):
        return True
    return Path(out).is_dir()


def _check_collisions(jobs: list[Job]) -> None:
    """Raises UsageError unless every target is written once and no target is read."""
    sources = {os.path.realpath(job.source.path) for job in jobs if job.source.path is not None}
    by_target: dict[str, Job] = {}
    for job in jobs:
        if job.target is None or job.source.error is not None:  # nothing will be written for it
            continue
        real = os.path.realpath(job.target)
        if real in sources:
            raise UsageError(f"{job.target} would be written and is read too; choose another --output")
        first = by_target.setdefault(real, job)
        if first is not job:
            raise UsageError(f"{first.source} and {job.source} would both become {job.target}")


def plan(inputs: Inputs, out: str, suffix: str) -> list[Job]:
    """The jobs for all inputs.

    Args:
        inputs: the files to read.
        out: ``-``, a file, or a folder (one that exists, ends with ``/``, or is needed by several inputs).
        suffix: suffix of the files in a folder.

    Raises:
        UsageError: several results would get one name, or a file that is read would be replaced.
    """
    if not out:
        raise UsageError("--output is empty; . is the folder where the command runs")
    files = inputs.files
    if out == STDOUT:
        if len(files) != 1:
            raise UsageError(f"standard output takes one file, not {len(files)}")
        return [Job(files[0], None)]
    if not _is_folder(out, inputs):
        jobs = [Job(files[0], Path(out), _NUMBER.search(Path(out).name) is not None)]
    else:
        if Path(out).exists() and not Path(out).is_dir():
            raise UsageError(f"{out} is a file; several inputs need a folder")
        if not Path(out).is_dir() and not out.endswith(("/", os.sep)) and Path(out).suffix:
            raise UsageError(
                f"{out} looks like a file; several inputs need a folder (write {out}/ if it is one)"
            )
        if any(file.path is None for file in files):
            raise UsageError("standard input has no name for a file in a folder; give a file as --output")
        jobs = [Job(file, Path(out) / file.relative.with_suffix(suffix)) for file in files]
    _check_collisions(jobs)
    return jobs


def _exists(target: Path, policy: WritePolicy) -> FileExistsError:
    return FileExistsError(f"{target} exists{policy.ways_out}")


def must_skip(target: Path | None, policy: WritePolicy) -> bool:
    """Whether a target exists and is to be left alone.

    Raises:
        OSError: the target exists and must not be replaced.
    """
    if target is None:
        return False
    if policy.skip_existing and target.is_file():
        return True
    try:
        check_target(target, force=policy.force)
    except FileExistsError:
        raise _exists(target, policy) from None
    return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # a FileExistsError would be taken for one about the target
        raise NotADirectoryError(f"{folder} is not a folder") from None


def write(target: Path | None, data: bytes, policy: WritePolicy) -> None:
    """Writes a result, whole or not at all, and creates the folders that it needs."""
    if target is None:
        write_output(data)
        return
    _make_folder(target.parent)
    try:
        write_file(target, data, force=policy.force)
    except FileExistsError:  # another process was faster
        raise _exists(target, policy) from None


def write_sequence(files: Iterable[tuple[Path, bytes]], policy: WritePolicy) -> None:
    """Writes the files of a sequence, all of them in one folder, and creates the folders that it needs.

    No file appears or is replaced before all are complete.
    """

    def in_folders() -> Iterator[tuple[Path, bytes]]:
        for target, data in files:
            _make_folder(target.parent)
            yield target, data

    try:
        write_together(in_folders(), force=policy.force, leave_existing=policy.skip_existing)
    except FileExistsError as error:  # another process was faster
        raise FileExistsError(f"{error}{policy.ways_out}") from None
