"""Rows about files, as the journals of a Ray run and its manifest hold them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from npp.batch.manifest import ManifestRow
from npp.batch.outcomes import FileResult
from npp.codec.decoding import probe
from npp.codec.file_inputs import BPG_MAGIC
from npp.recipes.size_extension import bpp_of

#: In the folder of the results, with a folder for each run: rows of batches, until it has ended.
JOURNALS = ".npp-ray"


def refused(place: object) -> FileExistsError:
    """The error for results, a manifest or journals that are there where nothing was said about them."""
    return FileExistsError(f"{place} exists: 'skip' goes on where a run has ended, 'replace' begins anew")


def rows_of(lines: bytes) -> list[ManifestRow]:
    """The rows of a journal."""
    return [ManifestRow.from_json(json.loads(line)) for line in lines.splitlines()]


def by_input(rows: Iterable[ManifestRow]) -> dict[str, ManifestRow]:
    """One row an input; of several about one the last that tells of a file, if any does."""
    found: dict[str, ManifestRow] = {}
    for row in rows:
        if row.output is not None or row.input not in found:
            found[row.input] = fuller(found.get(row.input), row)
    return found


def fuller(old: ManifestRow | None, new: ManifestRow) -> ManifestRow:
    """The new row, or the old one where that knows more about the same file, as its qp."""
    if old is None or new.output is None or new.qp is not None:
        return new
    return old if (old.output, old.checksum) == (new.output, new.checksum) else new


def result_there(data: bytes) -> FileResult:
    """What is known about a result that was there before.

    Raises:
        BPGError, ValueError: a BPG file that is damaged.
    """
    return FileResult(data, {"bpp": bpp_of(data, probe(data))} if data.startswith(BPG_MAGIC) else {})
