"""A folder of journals for each run: several may write into one folder of results at the same time."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from npp.batch.manifest import ManifestRow, lines_of
from npp.file_locks import FileLock
from npp.integrations.ray.ray_rows import JOURNALS, rows_in_journal
from npp.integrations.ray.ray_storage import Storage

_LOCK = ".lock"


def run_name(manifest: Path | None) -> str:
    """What a run is called: one that writes the same manifest goes on with its journals."""
    if manifest is None:
        return secrets.token_hex(10)
    return hashlib.sha256(os.fsencode(os.path.realpath(manifest))).hexdigest()[:20]


class RunFolder:
    """The journals of a run, which no other run touches until it is closed or the process has ended.

    Object stores have no locks, and there nobody is refused.

    Args:
        storage: the folder of the results.
        run: what the run is called.

    Raises:
        BlockingIOError: the run is not over.
        OSError: nothing can be written there.
    """

    def __init__(self, storage: Storage, run: str) -> None:
        self._storage, self.name = storage, f"{JOURNALS}/{run}"
        self._lock = _locked(Path(storage.root) / f"{self.name}{_LOCK}") if storage.is_local else None

    def journals(self) -> list[str]:
        """Names of its journals."""
        return self._storage.hidden(self.name)

    def rows(self) -> Iterator[ManifestRow]:
        """The rows of all its journals."""
        for journal in self.journals():
            yield from rows_in_journal(self._storage, journal)

    def put_together(self, rows: Iterable[ManifestRow]) -> None:
        """Leaves one journal with these rows, none where there are no rows."""
        combined = f"{self.name}/before.jsonl"
        if lines := b"".join(lines_of(rows)):
            # Whole before the others go: nothing is lost where this run is killed, too.
            self._storage.write(combined, lines, replace=True)
        for journal in self.journals():
            if journal != combined or not lines:
                self._storage.delete(journal)

    def remove(self) -> None:
        """Deletes it, and gives its lock back."""
        self.put_together([])
        self._storage.delete_folder(self.name)
        self.close()

    def close(self) -> None:
        """Gives its lock back; its journals stay for the next run."""
        if self._lock is not None:
            self._lock.close()
        self._storage.delete_folder(JOURNALS)


def _locked(path: Path) -> FileLock:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # a run that has just ended took the folder with it
            return FileLock(path, remove_empty=True)


def stopped_runs(storage: Storage, but: str) -> list[RunFolder]:
    """The folders of other runs that were stopped, and have left journals.

    An object store does not tell whether a run lives, so that there are none in one.

    Args:
        storage: the folder of the results.
        but: the run that asks.
    """
    stopped: list[RunFolder] = []
    names = storage.hidden(JOURNALS) if storage.is_local else []
    for run in sorted({PurePosixPath(name).name.removesuffix(_LOCK) for name in names} - {but}):
        try:
            folder = RunFolder(storage, run)
        except (BlockingIOError, PermissionError):  # it lives, or is another user's
            continue
        if folder.journals():
            stopped.append(folder)
        else:
            folder.remove()
    return stopped
