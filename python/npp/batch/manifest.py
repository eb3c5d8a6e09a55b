"""Manifests: the results for all files of a set, one JSON object a line, with their checksums."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from npp.batch.normalised_paths import without_dots
from npp.batch.outcomes import FileResult
from npp.file_locks import FileLock
from npp.files import append_whole, atomic_write


@dataclass(frozen=True)
class ManifestRow:
    """A line of a manifest.

    Attributes:
        input: name of the file that was read; a manifest has one row for each.
        output: name of the file that was written, relative to the manifest's folder if it lies below
            that; ``None`` if there was an error.
        bytes: size of the output.
        bpp: bits per pixel of the whole output; ``None`` too if it is no BPG file.
        qp: the qp of the encoder; ``None`` too for lossless files and for files that existed before.
        checksum: SHA-256 of the output in hexadecimal digits.
        error: the reason why there is no output.
    """

    input: str
    output: str | None
    bytes: int | None = None
    bpp: float | None = None
    qp: int | None = None
    checksum: str | None = None
    error: str | None = None

    def as_json(self) -> str:
        """The row as a JSON object in one line, without its end."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, found: Any) -> ManifestRow:
        """The row from a JSON object; unknown fields are ignored.

        Raises:
            ValueError: the object is not a row.
        """
        if not isinstance(found, dict) or not isinstance(found.get("input"), str):
            raise ValueError("a row of a manifest needs the field input")
        row = cls(**{"output": None, **{key: found[key] for key in _FIELDS if key in found}})
        for key, (types, allowed) in _FIELDS.items():
            value = getattr(row, key)
            if not isinstance(value, types) or isinstance(value, bool):
                raise ValueError(f"{key} must be {allowed}, not {value!r}")
        if row.error is None and None in (row.output, row.bytes, row.checksum):
            raise ValueError("a row of a manifest needs output, bytes and checksum, or an error")
        if row.error is not None and row.output is not None:
            raise ValueError(f"a row of a manifest has output or error, not both: {row.output!r}")
        return row

    @classmethod
    def of(cls, name: str, output: str | None, result: FileResult) -> ManifestRow:
        """The row about a result.

        Args:
            name: name of the file that was read.
            output: name of the file for the result, see the attribute.
            result: the result of a batch unit.
        """
        if result.file is None:
            return cls(name, None, error=result.error)
        values = result.values
        return cls(
            name, output, len(result.file), values.get("bpp"), values.get("qp"), result.checksum, result.error
        )


_TEXT = (str, type(None)), "text or null"
_WHOLE = (int, type(None)), "a whole number or null"
_FIELDS: dict[str, tuple[tuple[type, ...], str]] = {  # JSON's types of the values, and their names
    "input": ((str,), "text"),
    "output": _TEXT,
    "bytes": _WHOLE,
    "bpp": ((int, float, type(None)), "a number or null"),
    "qp": _WHOLE,
    "checksum": _TEXT,
    "error": _TEXT,
}
_ROW_BEGINS = b'{"input": "'  # as ManifestRow.as_json writes it


def name_in_manifest(output: Path, folder: Path) -> str:
    """Name of an output in the manifest of a folder, relative if it lies below, so that sets can be moved."""
    real, below = without_dots(output), without_dots(folder)
    return (real.relative_to(below) if real.is_relative_to(below) else real).as_posix()


def _whole_lines(data: Iterable[bytes], path: Path) -> Iterator[tuple[int, ManifestRow]]:
    """Rows with the offset of the byte after each; an incomplete last line is skipped.

    Raises:
        ValueError: a line is neither a row nor, as the last one, the beginning of a row.
    """
    end = 0
    for number, line in enumerate(data, 1):
        try:
            if not line.endswith(b"\n"):
                _check_cut_off(line)
                return
            end += len(line)
            if line.strip():
                yield end, ManifestRow.from_json(json.loads(line))
        except (ValueError, RecursionError) as error:  # RecursionError: JSON that is nested too deeply
            raise ValueError(f"{path}, line {number}: {error}") from None


def _check_cut_off(line: bytes) -> None:
    """Raises ValueError unless an incomplete last line is the beginning of a row, and not of other text."""
    shared = min(len(line), len(_ROW_BEGINS))
    if line[:shared] != _ROW_BEGINS[:shared]:
        raise ValueError("neither a row of a manifest nor the beginning of one")
    try:
        fields = json.loads(line)
    except ValueError:
        return
    ManifestRow.from_json(fields)


def read_manifest(path: str | os.PathLike[str]) -> Iterator[ManifestRow]:
    """The rows of a manifest. If a stopped run has left several rows for one input, the last one counts.

    Rows are read one after the other; only the names of the inputs are held in memory.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no row; the message names it.
    """
    manifest = Path(path)
    last_ends: dict[str, int] = {}
    with manifest.open("rb") as file:
        for end, row in _whole_lines(file, manifest):
            last_ends[row.input] = end
    with manifest.open("rb") as file:
        for end, row in _whole_lines(file, manifest):
            if last_ends[row.input] == end:
                yield row


def write_manifest(path: str | os.PathLike[str], rows: Iterable[ManifestRow]) -> None:
    """Writes a manifest, whole or not at all; an existing one is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path, force=True) as file:
        file.writelines(lines_of(rows))


def lines_of(rows: Iterable[ManifestRow]) -> Iterator[bytes]:
    """The rows as lines of a manifest."""
    return (f"{row.as_json()}\n".encode() for row in rows)


def lock_manifest(path: Path, *, remove_empty: bool = False) -> FileLock:
    """Locks a manifest for writing; the file and its folder are created if they are missing.

    Args:
        path: path of the manifest.
        remove_empty: whether a manifest without rows is removed when the lock is released.

    Raises:
        BlockingIOError: it is locked already, by this process or another one.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(path, remove_empty=remove_empty)
    except BlockingIOError as error:
        raise BlockingIOError(f"{error}; give each run a manifest of its own") from None


class ManifestFile:
    """A manifest that grows while files are made; it continues an existing one.

    Several threads may add rows. The file stays locked until it is closed, or its block or the process ends,
    for two writers would lose rows: several processes need a manifest each. (On file systems without locks a
    second writer is not noticed.)

    Args:
        path: the file, which need not exist; its folder is created.

    Raises:
        BlockingIOError: it is open already, in this process or in another.
        OSError: the file cannot be read or written.
        ValueError: the file is no manifest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._rows: dict[str, ManifestRow] = {}
        self._twice = False
        self._file_lock = lock_manifest(path)
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_stop: object) -> None:
        self.close()

    def _load(self) -> None:
        with self.path.open("rb+") as file:
            length = 0
            for end, row in _whole_lines(file, self.path):
                length = end
                self._twice = self._twice or row.input in self._rows
                self._rows[row.input] = row
            file.truncate(length)

    @property
    def folder(self) -> Path:
        """The folder of the manifest; outputs are named relative to it."""
        return self.path.parent

    def get(self, name: str) -> ManifestRow | None:
        """The row about an input, ``None`` if there is none."""
        return self._rows.get(name)

    def add(self, row: ManifestRow) -> None:
        """Adds a row, which replaces an earlier one about the same input; it is written at once.

        Raises:
            OSError: the file cannot be written.
            ValueError: the manifest is closed.
        """
        with self._lock:
            self._file_lock.check_held()
            append_whole(self.path, f"{row.as_json()}\n".encode())
            self._twice = self._twice or row.input in self._rows
            self._rows[row.input] = row

    def finish(self, only: Collection[str] | None = None) -> None:
        """Rewrites the file with one row for each input, whole or not at all.

        Args:
            only: inputs whose rows are kept; ``None`` for all.

        Raises:
            OSError: the file cannot be written.
            ValueError: the manifest is closed.
        """
        self._file_lock.check_held()
        dropped = set() if only is None else self._rows.keys() - set(only)
        if self._twice or dropped:
            for name in dropped:
                del self._rows[name]
            with self._file_lock.replacing() as file:
                file.writelines(lines_of(self._rows.values()))
            self._twice = False

    def close(self) -> None:
        """Closes the manifest, so that others can open it; no more rows can be added."""
        self._file_lock.close()
