"""The right to be the only one that writes a file."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from typing_extensions import Self

from npp.files import atomic_write


class FileLock:
    """A file that nobody else locks until it is closed, or the process has ended, however it does.

    The lock is one that the system keeps on the open file itself, so that nothing lies about that a kill
    could leave behind. Processes that are forked meanwhile have a part in it. File systems without such locks
    refuse nobody.

    Args:
        path: the file, which is made where it is not there; its folder must exist.
        remove_empty: a file that is still empty at the end is removed, unless it was replaced.

    Raises:
        BlockingIOError: it is locked already, by this process or another one.
        OSError: it cannot be opened for reading and writing.
    """

    def __init__(self, path: Path, *, remove_empty: bool = False) -> None:
        self._path = path
        # One that nobody closes is closed with the last that knows it.
        self._close = weakref.finalize(self, _give_up, _locked(path), path, remove_empty, os.getpid())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_stop: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the lock; a second call changes nothing."""
        self._close()

    def check_held(self) -> None:
        """Raises ValueError once the lock was given back: the file may be another's by now."""
        if not self._close.alive:
            raise ValueError(f"{self._path} is closed, and may be another run's by now")

    @contextmanager
    def replacing(self) -> Iterator[BinaryIO]:
        """Replaces the locked file once the new one is complete, which has the lock in the end.

        What is written to the yielded file appears under the name all at once, as with
        :func:`npp.files.atomic_write`.

        Raises:
            ValueError: the lock was given back.
            OSError: it cannot be written; the old file is there and locked.
        """
        self.check_held()
        descriptor: int | None = None
        try:
            with atomic_write(self._path, force=True) as file:
                # Before the file has its name: there is no moment at which another could be faster.
                descriptor = os.dup(file.fileno())
                _lock(descriptor, self._path)
                yield file
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise
        self.close()
        self._close = weakref.finalize(self, _give_up, descriptor, self._path, False, os.getpid())


def _locked(path: Path) -> int:
    """The file, open and locked; it is the one that has the name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, path)
            if _has_name(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another has replaced or removed it since it was opened


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(f"another run writes {path}") from None
    except OSError:  # a file system without locks
        return


def _has_name(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _give_up(descriptor: int, path: Path, remove_empty: bool, owner: int) -> None:
    remove_empty = remove_empty and os.getpid() == owner  # a forked child may end long before its parent
    try:
        # While it is locked: whoever has opened it meanwhile looks for the name afterwards.
        if remove_empty and not os.fstat(descriptor).st_size and _has_name(descriptor, path):
            with suppress(OSError):
                Path(os.path.realpath(path)).unlink()  # a link stays
    finally:
        os.close(descriptor)
