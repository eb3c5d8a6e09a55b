"""Paths and URLs as they are given, with what is in the folders among them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from npp.integrations.ray.ray_storage import Storage, is_remote, storage_of


class Listing:
    """A file, or a folder that is listed when somebody first asks, and once: an object store takes its time.

    Args:
        path: of this machine, or a URL; one of a folder ends with ``/``.
        recursive: list the folders in a folder, too.

    Attributes:
        path: as it was given.
    """

    def __init__(self, path: str, *, recursive: bool) -> None:
        self.path = path
        self._recursive = recursive

    @cached_property
    def is_folder(self) -> bool:
        """Whether it means a folder."""
        return self.path.endswith("/") if is_remote(self.path) else Path(self.path).is_dir()

    @property
    def absolute(self) -> str:
        """The path of a file from the root on, or its URL."""
        return self.path if is_remote(self.path) else str(Path(self.path).absolute())

    @cached_property
    def storage(self) -> Storage:
        """The folder. Raises ModuleNotFoundError, ValueError or OSError where nobody can open it."""
        return storage_of(self.path)

    @property
    def names(self) -> list[str]:
        """Names of the files in the folder, sorted; hidden ones are left out. Raises OSError of a URL's."""
        return self._listed[0]

    @property
    def unreadable(self) -> list[str]:
        """Names of the folders in it that cannot be read, empty for its own. Raises OSError of a URL's."""
        return self._listed[1]

    @cached_property
    def _listed(self) -> tuple[list[str], list[str]]:
        unreadable: list[str] = []
        names = sorted(self.storage.names(recursive=self._recursive, unreadable=unreadable.append))
        return names, unreadable


def listings_of(paths: Iterable[str], *, recursive: bool) -> list[Listing]:
    """The listings of paths and URLs; see :class:`Listing`."""
    return [Listing(path, recursive=recursive) for path in paths]
