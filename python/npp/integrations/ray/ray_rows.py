"""Rows about files, as the journals of a Ray run and its manifest hold them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import describe
from npp.integrations.ray.ray_storage import Storage

#: In the folder of the results, with a folder for each run: rows of batches, until it has ended.
JOURNALS = ".npp-ray"


def refused(path: object) -> FileExistsError:
    """The error for results, a manifest or journals that are there where nothing was said about them."""
    return FileExistsError(f"{path} exists: 'skip' goes on where a run has ended, 'replace' begins anew")


def rows_in_journal(storage: Storage, journal: str) -> list[ManifestRow]:
    """The rows of a journal.

    Args:
        storage: the folder of the results.
        journal: its name below that.

    Raises:
        ValueError: it is damaged; the message names it.
        OSError: it cannot be read.
    """
    lines = storage.read(journal).splitlines()
    try:
        return [ManifestRow.from_json(json.loads(line)) for line in lines]
    except (ValueError, RecursionError) as error:  # the latter where something is nested too deeply
        raise ValueError(
            f"{storage.root}/{journal} is damaged ({describe(error)}): delete it, and 'skip' finds the files "
            "that it tells of"
        ) from None


def by_input(rows: Iterable[ManifestRow]) -> dict[str, ManifestRow]:
    """One row an input; of several about one the last that tells of a file, if any does."""
    merged: dict[str, ManifestRow] = {}
    for row in rows:
        if row.output is not None or row.input not in merged:
            merged[row.input] = fuller(merged.get(row.input), row)
    return merged


def fuller(old: ManifestRow | None, new: ManifestRow) -> ManifestRow:
    """The new row, or the old one where that knows more about the same file, as its qp."""
    if old is None or new.output is None or new.qp is not None:
        return new
    return old if (old.output, old.checksum) == (new.output, new.checksum) else new


class RowReport(NamedTuple):
    """A worker's report to the driver about a row.

    Attributes:
        input: what the row is called.
        row: what became of it; ``None`` where an earlier run's part has it.
        left_alone: whether its result was there before.
    """

    input: str
    row: ManifestRow | None
    left_alone: bool


def rows_table(
    rows: Sequence[ManifestRow], left_alone: Sequence[ManifestRow] = (), done: Sequence[str] = ()
) -> Any:
    """Rows as a table for the driver: as JSON, which takes names with bytes that are no UTF-8.

    Args:
        rows: of what was made.
        left_alone: of what was there before.
        done: inputs that an earlier run's parts have.
    """
    pa: Any = importlib.import_module("pyarrow")
    texts = [row.as_json() for row in (*rows, *left_alone)] + [json.dumps({"input": name}) for name in done]
    flags = [False] * len(rows) + [True] * (len(left_alone) + len(done))
    return pa.table({_ROW: pa.array(texts, pa.string()), _LEFT_ALONE: pa.array(flags, pa.bool_())})


def rows_in(table: Any) -> Iterator[RowReport]:
    """The rows of a table that :func:`rows_table` has made, in their order."""
    for record in table.to_pylist():
        fields = json.loads(record[_ROW])
        row = None if fields.keys() == {"input"} else ManifestRow.from_json(fields)
        yield RowReport(fields["input"], row, record[_LEFT_ALONE])


_ROW, _LEFT_ALONE = "row", "left_alone"
