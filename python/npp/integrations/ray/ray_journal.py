"""Which photos of a run are to be done, and the manifest of those that are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import Self

from npp.batch.manifest import ManifestRow, lines_of, lock_manifest, name_in_manifest, read_manifest
from npp.integrations.ray.ray_sinks import JOURNALS, Existing, rows_of
from npp.integrations.ray.ray_sources import Picture
from npp.integrations.ray.ray_storage import Storage


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        pictures: for the workers.
        there: targets of those whose result is there, and only wants a row.
        skipped: how many are left alone.
        refused: rows of those whose target exists and may not.
    """

    pictures: list[Picture]
    there: set[str]
    skipped: int
    refused: list[ManifestRow]


class RunRecord:
    """What earlier runs and this one have written into a folder.

    Until the block ends or the run is concluded, no other run can write the manifest.

    Args:
        storage: the folder of the results.
        manifest: the manifest that is to be written in the end.
        existing: what to do where a file is there.

    Raises:
        FileExistsError: the manifest exists, or a stopped run's journals do, and neither may.
        BlockingIOError: another run writes the manifest.
        ValueError: the manifest is a file that is none.
    """

    def __init__(self, storage: Storage, manifest: Path | None, existing: Existing) -> None:
        self._storage, self._manifest, self._existing = storage, manifest, existing
        self._before: dict[str, ManifestRow] = {}
        journals = storage.hidden(JOURNALS)
        self._alone = None if manifest is None else lock_manifest(manifest, remove_empty=True)
        try:
            if existing == "error":
                # A run that was killed before its first row has left an empty one, which says nothing.
                begun = manifest is not None and manifest.stat().st_size > 0
                for found in ([str(manifest)] if begun else []) + journals[:1]:
                    raise FileExistsError(
                        f"{found} exists: 'skip' goes on where a run has ended, 'replace' begins anew"
                    )
            # Before anything is deleted: a file that is no manifest must not be replaced by one.
            before = () if manifest is None else read_manifest(manifest)
            rows = {row.input: row for row in before}
            if existing == "replace":
                self._delete(journals)
            else:
                self._before = rows
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_stop: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._alone is not None:
            self._alone.close()

    def plan(self, pictures: Sequence[Picture]) -> Plan:
        """What is to be done of some pictures."""
        if self._existing == "replace":
            return Plan(list(pictures), set(), 0, [])
        names = set(self._storage.names())
        is_there = {one.target for one in pictures if one.target in names}
        if self._existing == "error":
            refused = [
                ManifestRow(one.input, None, error=f"{one.target} exists")
                for one in pictures
                if one.target in is_there
            ]
            return Plan([one for one in pictures if one.target not in is_there], set(), 0, refused)
        known = self.resume()
        unknown = {
            one.target
            for one in pictures
            if self._manifest is not None and one.target in is_there and not self._has_row(one, known)
        }
        todo = [one for one in pictures if one.target not in is_there or one.target in unknown]
        return Plan(todo, unknown, len(pictures) - len(todo), [])

    def _has_row(self, picture: Picture, known: dict[str, ManifestRow]) -> bool:
        row = known.get(picture.input)
        if row is not None:
            return row.output == picture.target
        row = self._before.get(picture.input)
        return row is not None and row.output == self._name(picture.target)

    def resume(self) -> dict[str, ManifestRow]:
        """The rows of a stopped run whose files are there, put together in one journal."""
        if self._existing != "skip":
            return {}
        journals = self._storage.hidden(JOURNALS)
        rows = {row.input: row for name in journals for row in self._rows(name)}
        rows = {
            name: row
            for name, row in rows.items()
            if row.output is not None and self._storage.size(row.output) == row.bytes
        }
        if journals:
            kept = f"{JOURNALS}/before.jsonl"
            lines = "".join(f"{row.as_json()}\n" for row in rows.values())
            self._storage.write(kept, lines.encode(), replace=True)
            self._delete(name for name in journals if name != kept)
        return rows

    def _rows(self, journal: str) -> list[ManifestRow]:
        return rows_of(self._storage.read(journal))

    def _name(self, target: str) -> str:
        if not self._storage.is_local or self._manifest is None:
            return f"{self._storage.root}/{target}"
        return name_in_manifest(Path(self._storage.root) / target, self._manifest.parent)

    def _made(self) -> Iterator[ManifestRow]:
        for journal in self._storage.hidden(JOURNALS):
            for row in self._rows(journal):
                yield row if row.output is None else replace(row, output=self._name(row.output))

    def conclude(self, refused: Iterable[ManifestRow]) -> None:
        """All is done: writes the manifest, sorted by inputs, and deletes the journals."""
        if self._alone is not None:
            rows = {**self._before, **{row.input: row for row in (*refused, *self._made())}}
            with self._alone.replacing() as file:
                file.writelines(lines_of(rows[name] for name in sorted(rows)))
        self._delete(self._storage.hidden(JOURNALS))
        self._storage.delete_folder(JOURNALS)
        self._close()

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._storage.delete(name)
