"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


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


def _create(folder: Path) -> tuple[BinaryIO, Path]:
    """A new, empty file in a folder with the permissions that the process gives to new files."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    path = folder / f".npp-{secrets.token_hex(8)}.tmp"
    return os.fdopen(os.open(path, flags, 0o666), "wb"), path


def _publish_new(temporary: Path, target: Path) -> None:
    """Gives a finished file its name unless something has it already."""
    if os.name == "nt":
        temporary.rename(target)  # fails on Windows where the target exists
        return
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


def _sync_folder(folder: Path) -> None:
    """Makes a new name survive a power cut, where the system can open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write to that gets its name when the block ends without an exception.

    Until then the data lies in a temporary file in the same folder, which goes away when anything fails.
    The data is on the disk before the name is.

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
    file, temporary = _create(target.parent)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            temporary.replace(target)
        else:
            try:
                _publish_new(temporary, target)
            except FileExistsError:
                raise FileExistsError(f"{path} exists") from None
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def write_file(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Writes a whole file at once, as :func:`atomic_write`."""
    with atomic_write(path, force=force) as file:
        file.write(data)
