"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from npp.checks import flag

_OPEN_FILES = Path("/proc/self/fd")
_MOST_OPEN = 64  # complete files without a name: a process may have about a thousand files open


def named_path(text: str) -> Path:
    """The file that text names, with ``~`` and environment variables filled in.

    A file that is called just so comes first: where a configuration has filled in the text, nothing is left
    to fill in, and a ``$`` belongs to a name.
    """
    # Unlike Path.exists, it says of text that is too long for a name that there is none.
    there = os.path.exists(text)  # noqa: PTH110
    return Path(text) if there else Path(os.path.expandvars(text)).expanduser()


def check_target(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Whether a file may be written there; the path to write, symbolic links followed.

    Args:
        path: the file to write.
        force: allow an existing file.

    Raises:
        FileExistsError: it exists and ``force`` is not given.
        IsADirectoryError: it is a folder.
        OSError: it exists and is no ordinary file, as a device or a pipe: replacing it would harm.
        ValueError: ``force`` is neither True nor False.
    """
    flag("force", force)
    # A link stays a link: what it points to is replaced.
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(f"{path} is not an ordinary file")
    if not force:
        raise FileExistsError(f"{path} exists")
    return target


def _open_unnamed(folder: Path) -> BinaryIO | None:
    """An open file without a name, which is gone with the process however that ends.

    ``None`` where the system or the file system has no such files.
    """
    if not hasattr(os, "O_TMPFILE") or not _OPEN_FILES.is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666), "w+b")
    except OSError:
        return None


def _open_named(path: Path) -> BinaryIO:
    """A new, empty file with the permissions that the process gives to new files."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def _link_open_file(file: BinaryIO, path: Path) -> None:
    """Gives an open file without a name that name. Raises FileExistsError where something has it already."""
    source = _OPEN_FILES / str(file.fileno())
    # src_dir_fd means nothing beside a full path, but without it Python would not follow the link.
    os.link(source, path, src_dir_fd=file.fileno(), follow_symlinks=True)


def _has_name(file: BinaryIO) -> bool:
    return os.fstat(file.fileno()).st_nlink > 0


def _give_name(file: BinaryIO, path: Path) -> None:
    """Gives an open file its temporary name if it has none yet."""
    if _has_name(file):
        return
    try:
        _link_open_file(file, path)
    except OSError:  # unnamed files but no hard links
        file.seek(0)
        with _open_named(path) as named:
            shutil.copyfileobj(file, named)
            named.flush()
            os.fsync(named.fileno())


def _became(file: BinaryIO, target: Path) -> bool:
    """Whether an open file without a name is the target from now on: in one step, so that no kill can leave a
    temporary name behind. Raises FileExistsError where something has the name already."""
    if _has_name(file):
        return False
    try:
        _link_open_file(file, target)
    except FileExistsError:
        raise
    except OSError:  # unnamed files but no hard links
        return False
    return True


def _publish_new(temporary: Path, target: Path) -> None:
    """Gives a finished file its name unless something has it already."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: take the name first, then replace what holds it.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            temporary.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


@contextmanager
def _existing_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """A context in which a FileExistsError names the target as the caller knows it."""
    try:
        yield
    except FileExistsError:
        raise FileExistsError(f"{path} exists") from None


def _sync_folder(folder: Path) -> None:
    """Makes a new name survive a power cut, where the system can open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _errors_name(path: str | os.PathLike[str], temporary: Path) -> Iterator[None]:
    """Errors of the system speak of the file that the caller knows, not of the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename) == str(temporary)):
            error.filename = os.fspath(path)
        raise


class _Draft:
    """A file that is written beside its target and has not got its name yet.

    Until then it lies in a file without a name or, where the file system has none, in a temporary file.

    Args:
        path: the file to write, as the caller names it.
        force: replace an existing file.

    Raises:
        FileExistsError, IsADirectoryError, OSError: as :func:`check_target`, or nothing can be written there.
    """

    def __init__(self, path: str | os.PathLike[str], *, force: bool) -> None:
        self._path, self._force = path, force
        self.target = check_target(path, force=force)
        self._temporary = self.target.parent / f".npp-{secrets.token_hex(8)}.tmp"
        with self.errors():
            self.file = _open_unnamed(self.target.parent) or _open_named(self._temporary)

    def errors(self) -> AbstractContextManager[None]:
        """A context in which errors name the file that the caller knows."""
        return _errors_name(self._path, self._temporary)

    def complete(self) -> None:
        """Flushes the data to the disk, once all is written."""
        with self.errors():
            self.file.flush()
            os.fsync(self.file.fileno())

    def park(self) -> None:
        """Closes the file, which keeps a temporary name until it is published."""
        with self.errors():
            _give_name(self.file, self._temporary)
            self.file.close()

    def publish(self) -> None:
        """Gives the complete file its name.

        Raises:
            FileExistsError: something has it already and may not be replaced.
        """
        with self.errors(), _existing_named(self._path):
            if not self.file.closed:
                if not self._force and _became(self.file, self.target):
                    self.file.close()
                    return
                self.park()
            if self._force:
                self._temporary.replace(self.target)
            else:
                _publish_new(self._temporary, self.target)

    def discard(self) -> None:
        """Removes what is left of it beside the target; a published file stays."""
        # A full disk makes the closing fail, too, and a read-only file system refuses to remove even nothing.
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self._temporary.unlink()


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write to that gets its name when the block ends without an exception.

    Until then the data lies in a file without a name or, where the file system has none, in a temporary
    file ``.npp-*.tmp`` in the same folder, which goes away when anything fails. The data is on the disk
    before the name is. A process that is killed or a power cut leaves the old file or the new one; on file
    systems without unnamed files a temporary file may stay behind.

    Args:
        path: the file to write. Its folder must exist.
        force: replace an existing file. Without it an existing file is never touched, even if it appears
            while the block runs.

    Yields:
        The open binary file.

    Raises:
        FileExistsError, IsADirectoryError, OSError, ValueError: as :func:`check_target`, or writing failed.
    """
    draft = _Draft(path, force=force)
    try:
        with draft.errors():
            yield draft.file
        draft.complete()
        draft.publish()
    finally:
        draft.discard()
    _sync_folder(draft.target.parent)


def write_file(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Writes a whole file at once, as :func:`atomic_write`."""
    with atomic_write(path, force=force) as file:
        file.write(data)


def write_together(
    files: Iterable[tuple[Path, bytes]], *, force: bool = False, leave_existing: bool = False
) -> None:
    """Writes several files, none of which gets its name before all of them are complete.

    What fails until then, as a full disk does, leaves all old files as they are and no new ones. The names
    are given one after the other: a process that is killed meanwhile leaves some old files and some new ones.
    Of many files a killed process can leave temporary ones behind, too.

    Args:
        files: paths, whose folders must exist, with what is to be in them; taken one by one.
        force: replace existing files.
        leave_existing: a file that exists or appears meanwhile stays, and is no error.

    Raises:
        FileExistsError, IsADirectoryError, OSError: as :func:`atomic_write`.
    """
    drafts: list[_Draft] = []
    may_exist = (FileExistsError,) if leave_existing else ()
    try:
        for path, data in files:
            with suppress(*may_exist):
                drafts.append(_Draft(path, force=force))
                with drafts[-1].errors():
                    drafts[-1].file.write(data)
                drafts[-1].complete()
                if len(drafts) > _MOST_OPEN:
                    drafts[-1].park()
        _publish_all(drafts, may_exist, undo=not force)
    finally:
        for draft in drafts:
            draft.discard()
    for folder in {draft.target.parent for draft in drafts}:
        _sync_folder(folder)


def _publish_all(drafts: list[_Draft], may_exist: tuple[type[OSError], ...], *, undo: bool) -> None:
    """Gives all files their names; where one cannot have it, none keeps it if nothing was replaced."""
    published: list[Path] = []
    try:
        for draft in drafts:
            with suppress(*may_exist):
                draft.publish()
                published.append(draft.target)
    except BaseException:
        for target in published if undo else ():
            target.unlink(missing_ok=True)
        raise


def append_whole(path: Path, data: bytes) -> None:
    """Adds to a file, which is made if it is not there: all of the data, or nothing where that fails.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    with _errors_name(path, path), path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        left = memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except BaseException:
            with suppress(OSError):
                file.truncate(end)
            raise
