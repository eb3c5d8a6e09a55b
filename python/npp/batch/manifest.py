"""What became of every file of a set: one JSON object a line, with a checksum of every result."""

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
        input: what was read; a manifest has one row for it.
        output: what was written, relative to the manifest's folder if it lies below that; ``None`` where
            there is an error.
        bytes: size of the output.
        bpp: bits of the whole output for each pixel; ``None`` too where it is no BPG file.
        qp: that the encoder was told; ``None`` too of lossless files, and of files that were there before.
        checksum: SHA-256 of the output in hexadecimal digits.
        error: why there is no output.
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
        """The row of a JSON object; fields that it has no use for are passed over.

        Raises:
            ValueError: not a row.
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
            name: what was read.
            output: where the result goes, as the attribute says.
            result: of a batch unit.
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
    """What a manifest in a folder calls an output: sets can be moved as a whole."""
    real, below = without_dots(output), without_dots(folder)
    return (real.relative_to(below) if real.is_relative_to(below) else real).as_posix()


def _whole_lines(data: Iterable[bytes], path: Path) -> Iterator[tuple[int, ManifestRow]]:
    """Rows with the offset behind each; a last line that a kill has cut off does not count.

    Raises:
        ValueError: a line is no row, and not the beginning of one either.
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
        except (ValueError, RecursionError) as error:  # the latter where something is nested too deeply
            raise ValueError(f"{path}, line {number}: {error}") from None


def _check_cut_off(line: bytes) -> None:
    """That a last line without its end is the beginning of a row: other files may end so, too."""
    shared = min(len(line), len(_ROW_BEGINS))
    if line[:shared] != _ROW_BEGINS[:shared]:
        raise ValueError("neither a row of a manifest nor the beginning of one")
    try:
        fields = json.loads(line)
    except ValueError:
        return
    ManifestRow.from_json(fields)


def read_manifest(path: str | os.PathLike[str]) -> Iterator[ManifestRow]:
    """The rows of a manifest. Where a stopped run has left several for one input, the last counts.

    A manifest is read once and its rows are given one after the other, whatever its size; only the inputs'
    names are held in memory.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no row; the message says which.
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
        OSError: it cannot be written.
    """
    with atomic_write(path, force=True) as file:
        file.writelines(lines_of(rows))


def lines_of(rows: Iterable[ManifestRow]) -> Iterator[bytes]:
    """The lines of a manifest with these rows."""
    return (f"{row.as_json()}\n".encode() for row in rows)


def lock_manifest(path: Path, *, remove_empty: bool = False) -> FileLock:
    """The sole right to write a manifest, which is made with its folder where it is not there.

    Args:
        path: of the manifest.
        remove_empty: one without rows is removed in the end.

    Raises:
        BlockingIOError: this process or another one writes it.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(path, remove_empty=remove_empty)
    except BlockingIOError as error:
        raise BlockingIOError(f"{error}; give each run a manifest of its own") from None


class ManifestFile:
    """A manifest that grows while files are made, and goes on where a stopped run has left it.

    Several threads may add rows to one. It is open until it is closed, or its block or the process ends, and
    nobody else can open it until then: rows of two would get lost. Several processes need a manifest each.
    (File systems without locks do not notice a second one.)

    Args:
        path: the file, which need not exist; its folder is made.

    Raises:
        BlockingIOError: it is open already, in this process or in another.
        OSError: it cannot be read or written.
        ValueError: a file that is no manifest.
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
        """Outputs are named relative to it."""
        return self.path.parent

    def get(self, name: str) -> ManifestRow | None:
        """The row about an input."""
        return self._rows.get(name)

    def add(self, row: ManifestRow) -> None:
        """Adds a row, in place of an earlier one about the same input. It is in the file at once.

        Raises:
            OSError: it cannot be written.
            ValueError: the manifest is closed.
        """
        with self._lock:
            self._file_lock.check_held()
            append_whole(self.path, f"{row.as_json()}\n".encode())
            self._twice = self._twice or row.input in self._rows
            self._rows[row.input] = row

    def finish(self, only: Collection[str] | None = None) -> None:
        """Leaves one row an input in the file, whole or not at all.

        Args:
            only: inputs whose rows stay; ``None`` stands for all.

        Raises:
            OSError: it cannot be written.
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
        """Lets others open the manifest; no rows are added any more."""
        self._file_lock.close()
