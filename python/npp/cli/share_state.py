"""The state of ``npp encode --share`` in a file, from which a stopped run continues."""

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

#: Name of the file in the output folder.
STATE_NAME = ".npp-share.jsonl"

_LINE_BEGINS = b'{"kind": "'  # as ShareState writes it
_Identity = tuple[str, int, int]


def check_state(path: Path, jobs: Sequence[Job], manifest: Path | None) -> None:
    """Raises UsageError unless the state of a run may be written to a path.

    Args:
        path: path of the state.
        jobs: the files that the command reads and writes.
        manifest: path of the manifest that the command writes too.

    Raises:
        UsageError: the file is an input or an output of the command, or is no such state.
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
    """Locks an output folder for sharing within the block; an empty state is removed after it.

    Args:
        folder: the output folder, which is created.

    Raises:
        UsageError: another run has locked it.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / STATE_NAME, remove_empty=True))
        except BlockingIOError:
            raise UsageError(
                f"another run shares into {folder}; wait for it, or choose another --output"
            ) from None
        except OSError:  # if no state can be written, each file is reported as failed
            pass
        yield


def file_identity(source: Input) -> _Identity:
    """Path, size and time of a file, which tell whether it was replaced.

    Raises:
        OSError: the file does not exist.
    """
    assert source.path is not None
    status = source.path.stat()
    return os.path.realpath(source.path), status.st_size, status.st_mtime_ns


class ShareState:
    """Rate curves and sizes of files, one JSON object a line; an incomplete last line is dropped.

    Args:
        path: the file, which need not exist.
        curve_key: digest of the settings that curves depend on; curves with another one are ignored.
        file_key: digest of the settings that whole files depend on.
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
                        file.truncate(end)  # the line that was being written when the run was stopped
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
        """Name of a result relative to the state's folder, the same from any working directory."""
        assert job.target is not None
        return Path(os.path.relpath(job.target, self.path.parent)).as_posix()

    def _append(self, kind: str, source: _Identity, fields: dict[str, Any]) -> None:
        head = {"kind": kind, "key": self._keys[kind]}
        line = {**head, "source": source[0], "size": source[1], "mtime_ns": source[2], **fields}
        with self._lock:
            append_whole(self.path, json.dumps(line).encode() + b"\n")
            self._take(line)

    def curve(self, source: _Identity) -> PictureCurve | None:
        """The sampled curve of a picture, ``None`` if there is none yet."""
        return self._curves.get(source)

    def put_curve(self, source: _Identity, curve: PictureCurve) -> None:
        """Stores the sampled curve of a picture."""
        self._append("curve", source, {"curve": curve.as_json()})

    def values(self, source: _Identity, qp: int) -> dict[str, Any] | None:
        """The report's fields for a picture's file at a qp, ``None`` if it is unknown."""
        line = self._files.get((source, qp))
        return None if line is None else dict(line["values"])

    def is_there(self, job: Job, source: _Identity, qp: int) -> bool:
        """Whether the result of a job is the file that was made at a qp."""
        line = self._files.get((source, qp))
        return line is not None and self.is_ours(job) and line["crc"] == _crc32_of(job.target)

    def put_file(self, job: Job, source: _Identity, qp: int, file: bytes, values: dict[str, Any]) -> None:
        """Stores size and CRC-32 of a file; called before it is written, so that it is recognised as ours."""
        fields = {"target": self._name(job), "qp": qp, "crc": zlib.crc32(file), "values": values}
        self._append("file", source, fields)

    def is_ours(self, job: Job) -> bool:
        """Whether a result was written by a run that shares bits, and so may be replaced."""
        crcs = self._crcs.get(self._name(job))
        return crcs is not None and _crc32_of(job.target) in crcs

    def wrote(self, job: Job) -> None:
        """Notes that this run has written a result."""
        self._written.add(self._name(job))

    def has_written(self, job: Job) -> bool:
        """Whether this run has written a result, even at a qp that was given up later."""
        return self._name(job) in self._written

    def is_empty(self) -> bool:
        """Whether the file is empty or missing."""
        return not self.path.exists() or not self.path.stat().st_size

    def remove(self) -> None:
        """Deletes the file."""
        self.path.unlink(missing_ok=True)


def _crc32_of(path: Path | None) -> int | None:
    """The CRC-32 of a file; ``None`` if there is no file."""
    assert path is not None
    try:
        return zlib.crc32(path.read_bytes())
    except OSError:
        return None
