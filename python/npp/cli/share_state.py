"""What a run of ``npp encode --share`` has found out, kept in a file so that a stopped run goes on."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from npp.batch.outcomes import describe
from npp.batch.picture_curves import PictureCurve
from npp.cli.exit_codes import UsageError
from npp.cli.input_files import Input
from npp.cli.output_files import Job
from npp.cli.side_files import check_side_file
from npp.file_locks import FileLock
from npp.files import append_whole

#: In the folder of the results.
STATE_NAME = ".npp-share.jsonl"

_LINE_BEGINS = b'{"kind": "'  # as ShareState writes it
_Identity = tuple[str, int, int]


def check_state(path: Path, jobs: Sequence[Job], manifest: Path | None) -> None:
    """That the state of a run may stand there.

    Args:
        path: of the state.
        jobs: all that the command reads and writes.
        manifest: which the command writes, too.

    Raises:
        UsageError: the file is read, is written by the command for something else, or is no such state.
    """
    check_side_file("the state", path, jobs)
    if manifest is not None and os.path.realpath(manifest) == os.path.realpath(path):
        raise UsageError(f"--manifest {manifest} is where --share keeps its state; give it another name")
    try:
        with path.open("rb") as file:
            begins = file.read(len(_LINE_BEGINS))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(describe(error)) from None
    if not _LINE_BEGINS.startswith(begins):
        raise UsageError(f"{path} is no state of npp encode --share; remove it or choose another --output")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else shares bits into a folder as long as the block lasts; the state, if empty, goes with it.

    Args:
        folder: of the results, which is made.

    Raises:
        UsageError: another run shares into it.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / STATE_NAME, remove_empty=True))
        except BlockingIOError:
            raise UsageError(
                f"another run shares into {folder}; wait for it, or choose another --output"
            ) from None
        except OSError:  # where no state can be written, each file is said to fail
            pass
        yield


def file_identity(source: Input) -> _Identity:
    """Path, size and time of a file: another one has another, however it is called.

    Raises:
        OSError: it is not there.
    """
    assert source.path is not None
    status = source.path.stat()
    return os.path.realpath(source.path), status.st_size, status.st_mtime_ns


class ShareState:
    """Rate curves and sizes of files, one JSON object a line; a line that is not whole does not count.

    Args:
        path: the file, which need not exist.
        curve_key: tells the options that curves depend on; others' curves do not count.
        file_key: the same of whole files.
    """

    def __init__(self, path: Path, curve_key: str, file_key: str) -> None:
        self.path = path
        self._keys = {"curve": curve_key, "file": file_key}
        self._lock = threading.Lock()
        self._curves: dict[_Identity, PictureCurve] = {}
        self._files: dict[tuple[_Identity, int], dict[str, Any]] = {}
        self._crcs: dict[str, set[int]] = {}
        self._written: set[str] = set()
        self._load()

    def _load(self) -> None:
        try:
            with self.path.open("rb+") as file:
                end = 0
                for line in file:
                    if not line.endswith(b"\n"):
                        file.truncate(end)  # what was being written when the run was stopped
                        break
                    end += len(line)
                    with suppress(ValueError, KeyError, TypeError):
                        self._take(json.loads(line))
        except FileNotFoundError:
            pass

    def _take(self, line: dict[str, Any]) -> None:
        source: _Identity = (line["source"], line["size"], line["mtime_ns"])
        kind = line["kind"]
        if kind == "file":
            self._crcs.setdefault(line["target"], set()).add(line["crc"])
        if line["key"] != self._keys[kind]:
            return
        if kind == "file":
            self._files[source, line["qp"]] = line
        else:
            self._curves[source] = PictureCurve.from_json(line["curve"])

    def _name(self, job: Job) -> str:
        """A result's name below the state's folder, which stays the same from wherever that is reached."""
        assert job.target is not None
        return Path(os.path.relpath(job.target, self.path.parent)).as_posix()

    def _append(self, kind: str, source: _Identity, fields: dict[str, Any]) -> None:
        head = {"kind": kind, "key": self._keys[kind]}
        line = {**head, "source": source[0], "size": source[1], "mtime_ns": source[2], **fields}
        with self._lock:
            append_whole(self.path, json.dumps(line).encode() + b"\n")
            self._take(line)

    def curve(self, source: _Identity) -> PictureCurve | None:
        """What sampling a picture has shown."""
        return self._curves.get(source)

    def put_curve(self, source: _Identity, curve: PictureCurve) -> None:
        """Keeps what sampling a picture has shown."""
        self._append("curve", source, {"curve": curve.as_json()})

    def values(self, source: _Identity, qp: int) -> dict[str, Any] | None:
        """The report's fields of a picture's file at a qp."""
        line = self._files.get((source, qp))
        return None if line is None else dict(line["values"])

    def is_there(self, job: Job, source: _Identity, qp: int) -> bool:
        """Whether the result of a job is the file that was made at a qp."""
        line = self._files.get((source, qp))
        return line is not None and self.is_ours(job) and line["crc"] == _crc32_of(job.target)

    def put_file(self, job: Job, source: _Identity, qp: int, file: bytes, values: dict[str, Any]) -> None:
        """Keeps what a file takes; to be called before the file is written, which is then known as ours."""
        fields = {"target": self._name(job), "qp": qp, "crc": zlib.crc32(file), "values": values}
        self._append("file", source, fields)

    def is_ours(self, job: Job) -> bool:
        """Whether a result was written by such a run, and may be replaced by one."""
        crcs = self._crcs.get(self._name(job))
        return crcs is not None and _crc32_of(job.target) in crcs

    def wrote(self, job: Job) -> None:
        """A result is there now."""
        self._written.add(self._name(job))

    def has_written(self, job: Job) -> bool:
        """Whether this run has written a result, if only at a qp that it has given up since."""
        return self._name(job) in self._written

    def is_empty(self) -> bool:
        """Whether the file has nothing to go on from, or is not there."""
        return not self.path.exists() or not self.path.stat().st_size

    def remove(self) -> None:
        """Deletes the file."""
        self.path.unlink(missing_ok=True)


def _crc32_of(path: Path | None) -> int | None:
    """The CRC-32 of a file; ``None`` where there is none."""
    assert path is not None
    try:
        return zlib.crc32(path.read_bytes())
    except OSError:
        return None
