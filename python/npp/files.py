"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_OPEN_FILES = Path("/proc/self/fd")


def check_target(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Whether a file may be written there; the path to write, symbolic links followed.

    Args:
        path: the file to write.
        force: allow an existing file.

    Raises:
        FileExistsError: it exists and ``force`` is not given.
        IsADirectoryError: it is a folder.
        OSError: it exists and is no ordinary file, as a device or a pipe: replacing it would harm.
    """
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
    """That the target exists is said with the name that the caller knows."""
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
        FileExistsError, IsADirectoryError, OSError: as :func:`check_target`, or writing failed.
    """
    target = check_target(path, force=force)
    temporary = target.parent / f".npp-{secrets.token_hex(8)}.tmp"
    try:
        with _errors_name(path, temporary):
            with _open_unnamed(target.parent) or _open_named(temporary) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                with _existing_named(path):
                    finished = not force and _became(file, target)
                if not finished:
                    _give_name(file, temporary)
            if force:
                temporary.replace(target)
            elif not finished:
                with _existing_named(path):
                    _publish_new(temporary, target)
    finally:
        with suppress(OSError):  # a read-only file system refuses even where there is nothing to remove
            temporary.unlink()
    _sync_folder(target.parent)


def write_file(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Writes a whole file at once, as :func:`atomic_write`."""
    with atomic_write(path, force=force) as file:
        file.write(data)
