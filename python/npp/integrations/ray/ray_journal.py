"""The plan of which photos a run encodes, and the manifest of those that are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import Self

from npp.batch.manifest import ManifestRow, lines_of, lock_manifest, name_in_manifest, read_manifest
from npp.batch.normalised_paths import without_dots
from npp.integrations.ray.ray_rows import by_input, fuller, refused
from npp.integrations.ray.ray_run_folders import RunFolder, run_name, stopped_runs
from npp.integrations.ray.ray_sinks import Existing
from npp.integrations.ray.ray_sources import Picture
from npp.integrations.ray.ray_storage import Storage, is_hidden


@dataclass(frozen=True)
class Plan:
    """The pictures that a run has to process, and those that it leaves alone.

    Attributes:
        pictures: those for the workers.
        unrecorded: targets of those whose result exists and only needs a row in the manifest.
        skipped: how many are left alone.
        refused: rows of those whose target exists and may not.
    """

    pictures: list[Picture]
    unrecorded: set[str]
    skipped: int
    refused: list[ManifestRow]


class RunRecord:
    """The rows that earlier runs and this one have written into a folder.

    Until the block ends or the run is concluded, no other run can write the manifest or touch the journals.
    Other runs that are not over keep theirs.

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
        self._folders: list[RunFolder] = []  # its own is the first, stopped runs' follow
        self._lock = None if manifest is None else lock_manifest(manifest, remove_empty=True)
        try:
            # A run that was killed before its first row has left an empty one, which says nothing.
            if existing == "error" and manifest is not None and manifest.stat().st_size > 0:
                raise refused(manifest)
            # Before anything is deleted: a file that is no manifest must not be replaced by one.
            before = () if manifest is None else read_manifest(manifest)
            rows = {row.input: row for row in before}
            self._find_journals()
            if existing != "replace":
                self._before = rows
        except BaseException:
            self._close()
            raise

    def _find_journals(self) -> None:
        run = run_name(self._manifest)
        self._folders.append(RunFolder(self._storage, run))
        self._folders += stopped_runs(self._storage, run)
        for folder in self._folders:
            if self._existing == "error" and (journals := folder.journals()):
                raise refused(f"{self._storage.root}/{journals[0]}")
        if self._existing == "replace":
            self._folders[0].put_together([])
            self._remove_others()

    def _remove_others(self) -> None:
        while len(self._folders) > 1:
            self._folders.pop().remove()

    @property
    def journals(self) -> str:
        """The name of the folder of this run's journals."""
        return self._folders[0].name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_stop: object) -> None:
        self._close()

    def _close(self) -> None:
        for folder in self._folders:
            folder.close()
        if self._lock is not None:
            self._lock.close()

    def plan(self, pictures: Sequence[Picture]) -> Plan:
        """The plan for some pictures."""
        if self._existing == "replace":
            return Plan(list(pictures), set(), 0, [])
        sizes = self._sizes(pictures)
        if self._existing == "error":
            failures = [
                ManifestRow(picture.input, None, error=f"{picture.target} exists")
                for picture in pictures
                if picture.target in sizes
            ]
            return Plan([picture for picture in pictures if picture.target not in sizes], set(), 0, failures)
        resumed = self.resume()
        unrecorded = {
            picture.target
            for picture in pictures
            if self._manifest is not None
            and picture.target in sizes
            and not self._has_row(picture, resumed, sizes[picture.target])
        }
        todo = [
            picture for picture in pictures if picture.target not in sizes or picture.target in unrecorded
        ]
        return Plan(todo, unrecorded, len(pictures) - len(todo), [])

    def _sizes(self, pictures: Sequence[Picture]) -> dict[str, int]:
        """Bytes of the targets that are there."""
        listed = self._storage.sizes()
        sizes: dict[str, int] = {}
        for target in (picture.target for picture in pictures):
            size = self._storage.size(target) if is_hidden(target) else listed.get(target)
            if size is not None:
                sizes[target] = size
        return sizes

    def _has_row(self, picture: Picture, resumed: dict[str, ManifestRow], size: int) -> bool:
        """Whether there is a row about the target as it is now, of which its size tells."""
        row = resumed.get(picture.input)
        if row is not None:
            return row.output == picture.target
        row = self._before.get(picture.input)
        return row is not None and row.output == self._name(picture.target) and row.bytes == size

    def resume(self) -> dict[str, ManifestRow]:
        """The rows of stopped runs whose files are there, put together in one journal."""
        if self._existing != "skip":
            return {}
        rows = by_input(
            row
            for folder in reversed(self._folders)  # of what they disagree about the run itself knows best
            for row in folder.rows()
            if row.output is not None and self._storage.size(row.output) == row.bytes
        )
        self._folders[0].put_together(rows.values())
        self._remove_others()
        return rows

    def _name(self, target: str) -> str:
        if not self._storage.is_local or self._manifest is None:
            return f"{self._storage.root}/{target}"
        return name_in_manifest(Path(self._storage.root) / target, self._manifest.parent)

    def owners(self, resumed: Mapping[str, ManifestRow]) -> dict[str, str]:
        """Inputs by the targets that they became before: such a file is no other row's result.

        Args:
            resumed: what :meth:`resume` gives.
        """
        files = set(self._storage.names())
        before = {
            target: row.input
            for row in self._before.values()
            if row.output is not None and (target := self._target(row.output)) in files
        }
        return {**before, **{row.output: row.input for row in resumed.values() if row.output is not None}}

    def _target(self, output: str) -> str | None:
        """The name in the folder of an output of the manifest; ``None`` for a file that is not in there."""
        path = output
        if self._storage.is_local and self._manifest is not None:
            path = without_dots(self._manifest.parent / output).as_posix()
        root = f"{self._storage.root}/"
        return path.removeprefix(root) if path.startswith(root) else None

    def _written_rows(self) -> Iterator[ManifestRow]:
        for row in self._folders[0].rows():
            yield row if row.output is None else replace(row, output=self._name(row.output))

    def conclude(self, not_done: Iterable[ManifestRow]) -> None:
        """Writes the manifest, sorted by inputs, and deletes the journals, for the run is done.

        Args:
            not_done: rows that no worker has written, of pictures whose target exists and may not.
        """
        if self._lock is not None:
            rows = dict(self._before)
            for name, row in by_input((*not_done, *self._written_rows())).items():
                rows[name] = fuller(rows.get(name), row)
            with self._lock.replacing() as file:
                file.writelines(lines_of(rows[name] for name in sorted(rows)))
        self._folders[0].remove()
        self._close()
