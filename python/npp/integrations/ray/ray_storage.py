"""Folders on disks and in object stores, with files that appear whole or not at all."""

from __future__ import annotations

import errno
import importlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Protocol

from npp.batch.normalised_paths import without_dots
from npp.files import write_file
from npp.photos.finding import visible_files

# Their objects appear when the upload ends, and not before.
_OBJECT_STORES = ("s3", "gcs", "abfs")


def is_remote(path: str) -> bool:
    """Whether a path is a URL of something else than this machine's disks."""
    return "://" in path and not path.startswith("file://")


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, has a name that begins with a dot."""
    return "/." in f"/{name}"


def _filesystem(url: str) -> tuple[Any, str]:
    """pyarrow's file system for a URL, or fsspec's where pyarrow has none, and the path in it."""
    fs: Any = importlib.import_module("pyarrow.fs")
    try:
        opened: tuple[Any, str] = fs.FileSystem.from_uri(url)
    except (ValueError, NotImplementedError):
        fsspec: Any = importlib.import_module("fsspec.core")
        inner, path = fsspec.url_to_fs(url)
        return fs.PyFileSystem(fs.FSSpecHandler(inner)), path
    return opened


class Storage(Protocol):
    """A folder, wherever it is. It can be pickled.

    Attributes:
        root: its path or URL, without a slash at its end.
    """

    root: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine's file system."""

    @property
    def filesystem(self) -> Any:
        """pyarrow's file system, ``None`` where it is a folder of this machine's."""

    def inner_path(self, url: str) -> str:
        """The path in the file system of a URL below this one."""

    def check_folder(self) -> None:
        """Raises ValueError where a file stands in the place of the folder, or of one above it."""

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises OSError."""

    def size(self, name: str) -> int | None:
        """Bytes of a file, ``None`` where there is none, or can be none of that name."""

    def write(self, name: str, data: bytes, *, replace: bool) -> None:
        """Writes a file, whole or not at all, and makes the folders it needs.

        Raises:
            FileExistsError: it exists and ``replace`` is not given.
            OSError: it cannot be written.
            ValueError: the name leads out of this folder.
        """

    def delete(self, name: str) -> None:
        """Deletes a file, if it is there."""

    def delete_folder(self, name: str) -> None:
        """Deletes a folder on a disk, if it is there and empty; an object store has none."""

    def names(
        self, *, recursive: bool = True, unreadable: Callable[[str], object] | None = None
    ) -> Iterator[str]:
        """Names of the files below it, hidden ones left out; none where the folder is not there.

        Args:
            recursive: search the folders in it, too.
            unreadable: called with the name of every folder in it that cannot be read, empty for its own.

        Raises:
            OSError: a folder cannot be read, and ``unreadable`` is ``None``.
        """

    def sizes(self) -> dict[str, int]:
        """Bytes of the files below it by their names, hidden ones left out.

        Raises:
            OSError: a folder cannot be read.
        """

    def hidden(self, folder: str) -> list[str]:
        """Names of the files in a folder of it that may be hidden itself, sorted."""


def storage_of(root: str | os.PathLike[str]) -> Storage:
    """The folder of a path, or of a URL that pyarrow or fsspec can open, as ``s3://bucket/photos``.

    Raises:
        ModuleNotFoundError, ValueError, OSError: nobody can open it.
    """
    text = os.fspath(root)
    return RemoteStorage(text) if is_remote(text) else LocalStorage(text.removeprefix("file://"))


def _check_name(name: str, root: str) -> None:
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise ValueError(f"names of files must lie below {root}, which {name!r} does not")


class LocalStorage:
    """A folder of this machine's file system; see :class:`Storage`."""

    is_local = True
    filesystem = None

    def __init__(self, path: str) -> None:
        self.root = str(without_dots(path))

    def _path(self, name: str) -> Path:
        return Path(f"{self.root}/{name}" if name else self.root)

    def inner_path(self, url: str) -> str:
        return url

    def check_folder(self) -> None:
        for folder in (Path(self.root), *Path(self.root).parents):
            if folder.is_dir():
                return
            if folder.exists():
                raise ValueError(f"out must be a folder, and {folder} is a file")

    def read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def size(self, name: str) -> int | None:
        try:
            return self._path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a NUL in it
            return None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return None

    def write(self, name: str, data: bytes, *, replace: bool) -> None:
        _check_name(name, self.root)
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data, force=replace)

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._path(name).unlink()

    def delete_folder(self, name: str) -> None:
        with suppress(OSError):
            self._path(name).rmdir()

    def names(
        self, *, recursive: bool = True, unreadable: Callable[[str], object] | None = None
    ) -> Iterator[str]:
        root = Path(self.root)

        def tell(error: OSError) -> None:
            if unreadable is None:
                raise error
            name = Path(error.filename).relative_to(root).as_posix()
            unreadable("" if name == "." else name)

        for path in visible_files(root, unreadable=tell, recursive=recursive) if root.is_dir() else ():
            yield path.relative_to(root).as_posix()

    def sizes(self) -> dict[str, int]:
        sizes = ((name, self.size(name)) for name in self.names())
        return {name: size for name, size in sizes if size is not None and not is_hidden(name)}

    def hidden(self, folder: str) -> list[str]:
        path = self._path(folder)
        return sorted(f"{folder}/{file.name}" for file in path.iterdir()) if path.is_dir() else []


class RemoteStorage:
    """A folder of a file system that pyarrow or fsspec knows; see :class:`Storage`."""

    is_local = False

    def __init__(self, url: str) -> None:
        self.filesystem, self._base = _filesystem(url)
        self.root = url.rstrip("/")

    @property
    def _is_object_store(self) -> bool:
        return self.filesystem.type_name in _OBJECT_STORES

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def inner_path(self, url: str) -> str:
        return self._base + url[len(self.root) :]

    def check_folder(self) -> None:
        if not self._is_object_store and self.filesystem.get_file_info(self._base).is_file:
            raise ValueError(f"out must be a folder, and {self.root} is a file")

    def read(self, name: str) -> bytes:
        with self.filesystem.open_input_stream(self._path(name)) as file:
            return bytes(file.read())

    def size(self, name: str) -> int | None:
        info = self.filesystem.get_file_info(self._path(name))
        return info.size if info.is_file else None

    def write(self, name: str, data: bytes, *, replace: bool) -> None:
        _check_name(name, self.root)
        path = self._path(name)
        if not replace and self.size(name) is not None:
            raise FileExistsError(f"{path} exists")
        if self._is_object_store:
            self._put(path, data)
        else:
            self._put_and_move(path, data)

    def _put(self, path: str, data: bytes) -> None:
        with self.filesystem.open_output_stream(path) as file:
            file.write(data)

    def _put_and_move(self, path: str, data: bytes) -> None:
        """Writes a hidden file beside the path, and moves it there when it is whole."""
        folder = path.rpartition("/")[0]
        self.filesystem.create_dir(folder, recursive=True)
        temporary = f"{folder}/.npp-{secrets.token_hex(8)}.tmp"
        try:
            self._put(temporary, data)
            self.filesystem.move(temporary, path)
        except BaseException:
            if self.filesystem.get_file_info(temporary).is_file:
                self.filesystem.delete_file(temporary)
            raise

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self._path(name))

    def delete_folder(self, name: str) -> None:
        """Does nothing, for an object store has no folders."""

    def names(
        self, *, recursive: bool = True, unreadable: Callable[[str], object] | None = None
    ) -> Iterator[str]:
        yield from (name for name, _ in self._listed("", recursive) if not is_hidden(name))

    def sizes(self) -> dict[str, int]:
        listed = self._listed("", recursive=True)
        return {name: size for name, size in listed if size is not None and not is_hidden(name)}

    def hidden(self, folder: str) -> list[str]:
        return sorted(name for name, _ in self._listed(folder, recursive=False))

    def _listed(self, folder: str, recursive: bool) -> Iterator[tuple[str, int | None]]:
        """Names and sizes of the files below a folder."""
        fs: Any = importlib.import_module("pyarrow.fs")
        selector = fs.FileSelector(self._path(folder), recursive=recursive, allow_not_found=True)
        for info in self.filesystem.get_file_info(selector):
            if info.is_file:
                yield info.path[len(self._base) :].lstrip("/"), info.size


def read_anything(path: str) -> bytes:
    """The bytes of a path or URL. Raises OSError."""
    if not is_remote(path):
        return Path(path.removeprefix("file://")).read_bytes()
    folder, _, name = path.rpartition("/")
    return _storage(folder).read(name)


_opened: dict[str, Storage] = {}


def _storage(root: str) -> Storage:
    """One connection for all files of a folder."""
    if root not in _opened:
        _opened[root] = storage_of(root)
    return _opened[root]
