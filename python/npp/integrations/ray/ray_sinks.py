"""Where results go: a file for each photo, or parts of many rows as Parquet or WebDataset.

Workers write, and the driver only counts. Whatever is written once is found again by the same batch after its
worker was killed, and by the next run after the driver was.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol, TypeAlias

from npp.batch.existing_results import existing_file
from npp.batch.manifest import ManifestRow, lines_of
from npp.batch.outcomes import FileResult, describe
from npp.integrations.ray.ray_columns import (
    INPUT,
    KEY,
    MORE,
    RESULTS,
    TARGET,
    as_text,
    from_text,
    names_in,
    published,
    readable,
    users_columns,
)
from npp.integrations.ray.ray_owners import Owners
from npp.integrations.ray.ray_rows import by_input, rows_in_journal
from npp.integrations.ray.ray_sources import plain_name
from npp.integrations.ray.ray_storage import Storage
from npp.integrations.ray.ray_tars import FACTS, facts_in, key_of, members_of, samples_in, tar_of

Existing: TypeAlias = Literal["error", "skip", "replace"]

_PART = "part-"
_NAME_DIGITS = 20


def batch_name(inputs: Iterable[str]) -> str:
    """The name of a batch by its inputs: a repeated one has the same."""
    digest = hashlib.sha256()
    for name in inputs:
        data = name.encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(data) + data)  # no sign can stand between names that no name can hold
    return digest.hexdigest()[:_NAME_DIGITS]


class Sink(Protocol):
    """Writes the results of batches. It can be pickled."""

    def earlier(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """Rows of inputs that an earlier attempt of the same batch has written."""

    def left_alone(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """Rows of inputs whose results were there before, and stay."""

    def take(self, name: str, table: Any, results: Sequence[FileResult]) -> list[ManifestRow]:
        """Writes results that no earlier attempt has written.

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
        journals: the run's folder below that.
        owners: gives each file to one row; ``None`` where it is known that no two rows become the same, and
            that no file is there which is to be left alone.
    """

    def __init__(
        self, storage: Storage, existing: Existing, journals: str, owners: Owners | None = None
    ) -> None:
        self._storage, self._existing = storage, existing
        self._journals, self._owners = journals, owners

    def _journal(self, name: str) -> str:
        return f"{self._journals}/{name}.jsonl"

    def earlier(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """Rows of inputs that an earlier attempt of the same batch has written, by its journal."""
        if self._storage.size(self._journal(name)) is None:
            return {}
        rows = rows_in_journal(self._storage, self._journal(name))
        return {row.input: row for row in rows if row.output and self._storage.size(row.output) == row.bytes}

    def left_alone(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """Rows of inputs whose files were there before, and stay; they get a journal of their own."""
        if self._existing != "skip" or self._owners is None:
            return {}
        inputs, targets = names_in(table, INPUT), names_in(table, TARGET)
        rivals = self._owners.claim(name, targets, inputs)
        rows = {
            input_name: self._existing_row(input_name, target)
            for input_name, target, rival in zip(inputs, targets, rivals, strict=True)
            if rival is None and self._storage.size(target) is not None
        }
        if rows:
            self._write_journal(f"{name}.there", rows, [])
        return rows

    def _existing_row(self, input_name: str, target: str) -> ManifestRow:
        there = existing_file(target, lambda: self._storage.read(target))
        return ManifestRow.of(input_name, target, there)

    def take(self, name: str, table: Any, results: Sequence[FileResult]) -> list[ManifestRow]:
        """Writes the files of a batch, and before them the journal with their rows; see :meth:`Sink.take`."""
        inputs, targets = names_in(table, INPUT), names_in(table, TARGET)
        if self._owners is not None:
            results = _without_rivals(targets, self._owners.claim(name, targets, inputs), results)
        planned = [ManifestRow.of(*fields) for fields in zip(inputs, targets, results, strict=True)]
        earlier = self.earlier(name, table)
        self._write_journal(name, earlier, planned)
        rows = [self._write(row, result) for row, result in zip(planned, results, strict=True)]
        if rows != planned:
            self._write_journal(name, earlier, rows)
        return rows

    def _write_journal(
        self, name: str, earlier: Mapping[str, ManifestRow], rows: Iterable[ManifestRow]
    ) -> None:
        lines = b"".join(lines_of({**earlier, **by_input(rows)}.values()))
        self._storage.write(self._journal(name), lines, replace=True)

    def _write(self, row: ManifestRow, result: FileResult) -> ManifestRow:
        if result.file is None or row.output is None:
            return row
        try:
            self._storage.write(row.output, result.file, replace=self._existing == "replace")
        except FileExistsError:
            stored = self._storage.read(row.output)
            if stored == result.file:  # another process was faster, or it was there from the beginning
                return row
            if self._existing != "skip":
                return ManifestRow(row.input, None, error=f"{row.output} exists")
            return self._existing_row(row.input, row.output)
        except (OSError, ValueError) as error:  # the latter of a name with a NUL
            return ManifestRow.of(row.input, None, FileResult.failed(error))
        return row


def _without_rivals(
    targets: Sequence[str], rivals: Sequence[str | None], results: Sequence[FileResult]
) -> list[FileResult]:
    """An error in place of what would replace the result of another row."""
    return [
        result
        if rival is None or result.file is None
        else FileResult.failed(f"{target} is what {rival} becomes, too: give rows other names")
        for target, rival, result in zip(targets, rivals, results, strict=True)
    ]


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
        """Rows of inputs in the part that an earlier attempt of the same batch has written."""
        part = self._part(name)
        if self._storage.size(part) is None:
            return {}
        return {row.input: row for row in self.rows_in(part)}

    def left_alone(self, name: str, table: Any) -> dict[str, ManifestRow]:
        """No rows, for inputs that other parts hold do not come here."""
        return {}

    def take(self, name: str, table: Any, results: Sequence[FileResult]) -> list[ManifestRow]:
        """Writes a batch as one part; see :meth:`Sink.take`."""
        part = self._part(name)
        rows = [
            ManifestRow.of(*fields)
            for fields in zip(names_in(table, INPUT), [part] * len(results), results, strict=True)
        ]
        self._storage.write(part, self._bytes(table, rows, results), replace=True)
        return rows

    def rows_in(self, part: str) -> list[ManifestRow]:
        """What a part says about its rows, in their order.

        Raises:
            ValueError: it is damaged.
            OSError: it cannot be read.
        """
        data = self._storage.read(part)
        try:
            return self._rows(data, part)
        except Exception as error:  # whatever pyarrow, tarfile and json make of other bytes
            raise ValueError(
                f"{self._storage.root}/{part} is damaged ({describe(error)}): delete it, and 'skip' makes "
                "its rows again"
            ) from None

    def keep(self, part: str, rows: Mapping[int, ManifestRow]) -> str:
        """Replaces a part with one that has only some of its rows.

        Args:
            part: the old part's name.
            rows: that stay, by their indices.

        Returns:
            The new part's name.
        """
        new_part = self._part(batch_name(row.input for row in rows.values()))
        self._storage.write(new_part, self._only(self._storage.read(part), list(rows)), replace=True)
        self._storage.delete(part)
        return new_part

    def _only(self, data: bytes, indices: Sequence[int]) -> bytes:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        out = io.BytesIO()
        parquet.write_table(parquet.read_table(io.BytesIO(data)).take(list(indices)), out)
        return out.getvalue()

    def _rows(self, data: bytes, part: str) -> list[ManifestRow]:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        records = parquet.read_table(io.BytesIO(data), columns=list(RESULTS)).to_pylist()
        records = [{**record, "input": from_text(record["input"])} for record in records]
        return [ManifestRow(output=None if record["error"] else part, **record) for record in records]

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

    def _only(self, data: bytes, indices: Sequence[int]) -> bytes:
        samples = list(samples_in(io.BytesIO(data)))
        return tar_of(samples[index] for index in indices)

    def _bytes(self, table: Any, rows: Sequence[ManifestRow], results: Sequence[FileResult]) -> bytes:
        keys = _distinct_keys(_keys(table), names_in(table, INPUT))
        extras = table[MORE].to_pylist() if MORE in table.column_names else [None] * len(keys)
        labels = table.select(users_columns(table.column_names, self._column, self._result)).to_pylist()
        samples = []
        for key, extra_members, label, row, result in zip(keys, extras, labels, rows, results, strict=True):
            members = members_of(label) | {
                from_text(member["name"]): member["data"] for member in extra_members or ()
            }
            members.pop(self._result, None)  # of an earlier run
            # The result first: readers take the first member with its suffix.
            result_member = {} if result.file is None else {self._result: result.file}
            samples.append((key, {**result_member, **members, FACTS: row.as_json().encode()}))
        return tar_of(samples)


def _keys(table: Any) -> list[str]:
    """Samples' names: their own, or those of files without the suffix."""
    if KEY in table.column_names:
        return names_in(table, KEY)
    column = TARGET if TARGET in table.column_names else INPUT
    paths = [PurePosixPath(plain_name(name)).with_suffix("") for name in names_in(table, column)]
    return [path.with_name(key_of(path.name)).as_posix() for path in paths]


def _distinct_keys(keys: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Keys of one tar: members of one key are one sample to those who read it.

    A second sample of a key has its picture's suffix in its own, and a third of both a number.
    """
    taken = set(keys)
    seen: set[str] = set()
    distinct = []
    for key, name in zip(keys, inputs, strict=True):
        unique = key
        if key in seen:
            longer = key + key_of(PurePosixPath(plain_name(name)).suffix)
            numbered = (f"{longer}{key_of(f'.{number}')}" for number in itertools.count(2))
            unique = next(
                candidate for candidate in itertools.chain([longer], numbered) if candidate not in taken
            )
        seen.add(unique)
        taken.add(unique)
        distinct.append(unique)
    return distinct


def with_results(
    table: Any, rows: Sequence[ManifestRow], results: Sequence[FileResult], column: str, result: str
) -> Any:
    """A table with the results' columns in place of the pictures'."""
    pa: Any = importlib.import_module("pyarrow")
    table = published(table)
    replaced = {column, result, *RESULTS} & set(table.column_names)
    table = table.drop_columns(sorted(replaced))
    table = table.append_column(result, pa.array([outcome.file for outcome in results], pa.binary()))
    plain = [
        {**asdict(row), "input": as_text(row.input), "error": row.error and readable(row.error)}
        for row in rows
    ]
    for name, kind in RESULTS.items():
        table = table.append_column(name, pa.array([row[name] for row in plain], getattr(pa, kind)()))
    return table


def inputs_in_parts(storage: Storage, suffix: str) -> tuple[set[str], list[ManifestRow]]:
    """Inputs that the parts in a folder hold, and the rows of those that failed.

    Of rows about one input the first stays; a part that only repeats others' inputs is deleted.
    """
    sink = {".parquet": PartSink, ".tar": TarSink}[suffix](storage, "", "")
    inputs: set[str] = set()
    failed: list[ManifestRow] = []
    shorter: set[str] = set()  # parts made here, which may take the names of some that are listed
    for part in parts_in(storage, suffix):
        if part in shorter:
            continue
        rows = sink.rows_in(part)
        fresh: dict[int, ManifestRow] = {}
        for index, row in enumerate(rows):
            if row.input not in inputs:
                inputs.add(row.input)
                fresh[index] = row
        failed += [row for row in fresh.values() if row.error is not None]
        if rows and not fresh:
            storage.delete(part)
        elif len(fresh) < len(rows):
            shorter.add(sink.keep(part, fresh))
    return inputs, failed


def parts_in(storage: Storage, suffix: str) -> list[str]:
    """Names of the parts in a folder that npp wrote; other programs call theirs nearly the same."""
    return sorted(name for name in storage.names(recursive=False) if is_part(name, suffix))


def is_part(name: str, suffix: str) -> bool:
    """Whether a file has a name that npp gives to its parts."""
    return re.fullmatch(f"{_PART}[0-9a-f]{{{_NAME_DIGITS}}}{re.escape(suffix)}", name) is not None
