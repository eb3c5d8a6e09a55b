"""Where results go: a file for each photo, or parts of many rows as Parquet or WebDataset.

Workers write, and the driver only counts. Whatever is written once is found again by the same batch after its
worker was killed, and by the next run after the driver was.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol, TypeAlias

from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import FileResult
from npp.integrations.ray.ray_columns import (
    INPUT,
    KEY,
    MORE,
    RESULTS,
    TARGET,
    THERE,
    as_text,
    from_text,
    names_in,
    published,
    readable,
    users_columns,
)
from npp.integrations.ray.ray_sources import plain_name
from npp.integrations.ray.ray_storage import Storage
from npp.integrations.ray.ray_tars import FACTS, facts_in, key_of, members_of, tar_of

Existing: TypeAlias = Literal["error", "skip", "replace"]

#: Rows of batches, in the folder of the results until a run has ended.
JOURNALS = ".npp-ray"
_PART = "part-"
_NAME_DIGITS = 20


def batch_name(inputs: Iterable[str]) -> str:
    """The name of a batch by its inputs: a repeated one has the same."""
    return hashlib.sha256("\n".join(inputs).encode("utf-8", "surrogateescape")).hexdigest()[:_NAME_DIGITS]


def rows_of(lines: bytes) -> list[ManifestRow]:
    """The rows of a journal."""
    return [ManifestRow.from_json(json.loads(line)) for line in lines.splitlines()]


def _lines(rows: Iterable[ManifestRow]) -> bytes:
    return "".join(f"{row.as_json()}\n" for row in rows).encode()


class Sink(Protocol):
    """Writes the results of batches. It can be pickled."""

    def earlier(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """Rows of inputs that an earlier try of the same batch has written."""

    def take(self, name: str, table: Any, results: Sequence[FileResult]) -> list[ManifestRow]:
        """Writes results that no earlier try has written.

        Args:
            name: of the batch.
            table: its rows, one a result.
            results: of a batch unit.

        Returns:
            A row about each.
        """


class FileSink:
    """A file for each photo.

    A journal with the rows of a batch is there before its files are.

    Args:
        storage: the folder.
        existing: what to do where a file is there.
    """

    def __init__(self, storage: Storage, existing: Existing) -> None:
        self._storage, self._existing = storage, existing

    def _journal(self, name: str) -> str:
        return f"{JOURNALS}/{name}.jsonl"

    def earlier(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """As :class:`Sink`."""
        found: dict[str, ManifestRow] = {}
        if self._storage.size(self._journal(name)) is not None:
            rows = rows_of(self._storage.read(self._journal(name)))
            found = {
                row.input: row for row in rows if row.output and self._storage.size(row.output) == row.bytes
            }
        if self._existing == "skip" and THERE not in table.column_names:
            for one, target in zip(names_in(table, INPUT), names_in(table, TARGET), strict=True):
                if one not in found and self._storage.size(target) is not None:
                    found[one] = ManifestRow.of(one, target, FileResult(self._storage.read(target)))
        return found

    def take(self, name: str, table: Any, results: Sequence[FileResult]) -> list[ManifestRow]:
        """As :class:`Sink`."""
        inputs, targets = names_in(table, INPUT), names_in(table, TARGET)
        results = _without_rivals(inputs, targets, results)
        planned = [ManifestRow.of(*three) for three in zip(inputs, targets, results, strict=True)]
        known = self.earlier(name, table)
        self._note(name, {**known, **{row.input: row for row in planned}})
        rows = [self._write(row, result) for row, result in zip(planned, results, strict=True)]
        if rows != planned:
            self._note(name, {**known, **{row.input: row for row in rows}})
        return rows

    def _note(self, name: str, rows: dict[str, ManifestRow]) -> None:
        self._storage.write(self._journal(name), _lines(rows.values()), replace=True)

    def _write(self, row: ManifestRow, result: FileResult) -> ManifestRow:
        if result.file is None or row.output is None:
            return row
        try:
            self._storage.write(row.output, result.file, replace=self._existing == "replace")
        except FileExistsError:
            found = self._storage.read(row.output)
            if found == result.file:  # another process was faster, or it was there from the beginning
                return row
            if self._existing != "skip":
                return ManifestRow(row.input, None, error=f"{row.output} exists")
            return ManifestRow.of(row.input, row.output, FileResult(found))
        except OSError as error:
            return ManifestRow.of(row.input, None, FileResult.failed(error))
        return row


def _without_rivals(
    inputs: Sequence[str], targets: Sequence[str], results: Sequence[FileResult]
) -> list[FileResult]:
    """An error in place of what would replace the result of another row of the batch."""
    owners: dict[str, str] = {}
    kept = []
    for one, target, result in zip(inputs, targets, results, strict=True):
        owner = owners.setdefault(target, one) if result.file is not None else one
        kept.append(
            result
            if owner == one
            else FileResult.failed(f"{target} is what {owner} becomes, too: give rows other names")
        )
    return kept


class PartSink:
    """Parts with the rows of a batch each: the table's columns without the picture, and the results'.

    Args:
        storage: the folder.
        column: the column with the pictures, which the results' replaces.
        result: what that is called: ``bpg``, or the suffix of decoded pictures.
    """

    suffix = ".parquet"

    def __init__(self, storage: Storage, column: str, result: str) -> None:
        self._storage, self._column, self._result = storage, column, result

    def _part(self, name: str) -> str:
        return f"{_PART}{name}{self.suffix}"

    def earlier(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """As :class:`Sink`."""
        part = self._part(name)
        if self._storage.size(part) is None:
            return {}
        return {row.input: row for row in self._rows(self._storage.read(part), part)}

    def take(self, name: str, table: Any, results: Sequence[FileResult]) -> list[ManifestRow]:
        """As :class:`Sink`."""
        part = self._part(name)
        rows = [
            ManifestRow.of(*three)
            for three in zip(names_in(table, INPUT), [part] * len(results), results, strict=True)
        ]
        self._storage.write(part, self._bytes(table, rows, results), replace=True)
        return rows

    def _rows(self, data: bytes, part: str) -> list[ManifestRow]:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        found = parquet.read_table(io.BytesIO(data), columns=list(RESULTS)).to_pylist()
        found = [{**one, "input": from_text(one["input"])} for one in found]
        return [ManifestRow(output=None if one["error"] else part, **one) for one in found]

    def _bytes(self, table: Any, rows: Sequence[ManifestRow], results: Sequence[FileResult]) -> bytes:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        out = io.BytesIO()
        parquet.write_table(with_results(table, rows, results, self._column, self._result), out)
        return out.getvalue()


class TarSink(PartSink):
    """Parts as tar files: a sample's other members and a row's other columns stay.

    A member says what is known about the file.
    """

    suffix = ".tar"

    def _rows(self, data: bytes, part: str) -> list[ManifestRow]:
        return [
            replace(row, output=None if row.error else part)
            for row in map(ManifestRow.from_json, facts_in(io.BytesIO(data)))
        ]

    def _bytes(self, table: Any, rows: Sequence[ManifestRow], results: Sequence[FileResult]) -> bytes:
        keys = _keys(table)
        more = table[MORE].to_pylist() if MORE in table.column_names else [None] * len(keys)
        labels = table.select(users_columns(table.column_names, self._column, self._result)).to_pylist()
        samples = []
        for key, others, label, row, result in zip(keys, more, labels, rows, results, strict=True):
            members = members_of(label) | {from_text(one["name"]): one["data"] for one in others or ()}
            if result.file is not None:
                members[self._result] = result.file
            samples.append((key, {**members, FACTS: row.as_json().encode()}))
        return tar_of(samples)


def _keys(table: Any) -> list[str]:
    """Samples' names: their own, or those of files without the suffix."""
    if KEY in table.column_names:
        return names_in(table, KEY)
    name = TARGET if TARGET in table.column_names else INPUT
    paths = [PurePosixPath(plain_name(one)).with_suffix("") for one in names_in(table, name)]
    return [path.with_name(key_of(path.name)).as_posix() for path in paths]


def with_results(
    table: Any, rows: Sequence[ManifestRow], results: Sequence[FileResult], column: str, result: str
) -> Any:
    """A table with the results' columns in place of the pictures'."""
    pa: Any = importlib.import_module("pyarrow")
    table = published(table)
    replaced = {column, result, *RESULTS} & set(table.column_names)
    table = table.drop_columns(sorted(replaced))
    table = table.append_column(result, pa.array([one.file for one in results], pa.binary()))
    plain = [
        {**asdict(row), "input": as_text(row.input), "error": row.error and readable(row.error)}
        for row in rows
    ]
    for name, kind in RESULTS.items():
        table = table.append_column(name, pa.array([row[name] for row in plain], getattr(pa, kind)()))
    return table


def rows_table(rows: Sequence[ManifestRow]) -> Any:
    """Rows as a table of one column of JSON, for the driver: it takes names with bytes that are no UTF-8."""
    pa: Any = importlib.import_module("pyarrow")
    return pa.table({_ROW: pa.array([row.as_json() for row in rows], pa.string())})


def rows_in(table: Any) -> list[ManifestRow]:
    """The rows that :func:`rows_table` has put into a table."""
    return [ManifestRow.from_json(json.loads(one[_ROW])) for one in table.to_pylist()]


_ROW = "row"


def inputs_in_parts(storage: Storage, suffix: str) -> tuple[set[str], list[ManifestRow]]:
    """Inputs that the parts in a folder hold, and the rows of those that failed.

    A part that repeats another's inputs is deleted.
    """
    sink = {".parquet": PartSink, ".tar": TarSink}[suffix](storage, "", "")
    found: set[str] = set()
    failed: list[ManifestRow] = []
    for part in parts_in(storage, suffix):
        rows = sink._rows(storage.read(part), part)
        own = {row.input for row in rows}
        if own & found:
            storage.delete(part)
        else:
            found |= own
            failed += [row for row in rows if row.error is not None]
    return found, failed


def parts_in(storage: Storage, suffix: str) -> list[str]:
    """Names of the parts in a folder that npp wrote; other programs call theirs nearly the same."""
    return sorted(name for name in storage.names(recursive=False) if is_part(name, suffix))


def is_part(name: str, suffix: str) -> bool:
    """Whether npp calls its parts so."""
    return re.fullmatch(f"{_PART}[0-9a-f]{{{_NAME_DIGITS}}}{re.escape(suffix)}", name) is not None
