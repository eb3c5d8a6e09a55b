"""What files say of photos, by their paths below the folder of the photos or by their bare names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from npp.photos.finding import name_below

_Said = TypeVar("_Said")
_GO_BY = "real labels go by the path below folder, or by the file name where one photo has it"


def listed_name(text: str) -> str:
    """A photo's name as a file lists it, its folders parted by ``/``."""
    return PurePosixPath(text.replace("\\", "/")).as_posix()


def _below(folder: str, name: str) -> str:
    """A listed name as a path below the folder, where it is absolute or leads out of it first."""
    if not folder or not (name.startswith("/") or ".." in PurePosixPath(name).parts):
        return name
    root = Path(os.path.normpath(Path.cwd() / folder))
    meant = Path(os.path.normpath(root / name))
    return meant.relative_to(root).as_posix() if root in meant.parents else name


def name_told(folder: Path | str, path: Path) -> str:
    """A photo's path below the folder, or its bare name where it is none of that folder's."""
    return name_below(folder, path) if Path(folder) in path.parents else path.name


class ByPhoto(Generic[_Said]):
    """Finds what is said of a photo: under its path below the folder, or else under its bare name.

    A listed path that leads to another photo of the folder says nothing of this one.

    Args:
        entries: what is said, by :func:`listed_name`; looked at only where it is asked for.
        folder: of the photos; empty where there are no entries.
        endings: whether names have the endings of the photos' files. Of names without, those in folders are
            paths below the folder in any case.

    Raises:
        ValueError: two names are one path below the folder.
    """

    def __init__(self, entries: Mapping[str, _Said], folder: str = "", *, endings: bool = True) -> None:
        self._entries = entries
        self._listed: dict[str, str] = {}  # how the entries call each path below the folder
        for listed in entries:
            name = _below(folder, listed)
            if name in self._listed:
                raise ValueError(f"{name} is listed as {listed}, too, and once is right")
            self._listed[name] = listed
        self._folder, self._endings = Path(folder), endings
        self._bare: dict[str, list[str]] = {}
        for name in self._listed:
            _, slash, bare = name.rpartition("/")
            if not slash or (endings and not (self._folder / name).is_file()):
                self._bare.setdefault(bare, []).append(name)

    def __len__(self) -> int:
        return len(self._listed)

    def __contains__(self, path: Path) -> bool:
        return bool(self._names(path))

    def __getitem__(self, path: Path) -> _Said:
        """What is said of a photo.

        Raises:
            KeyError: nothing.
        """
        return self._entries[self.name(path)]

    def get(self, path: Path) -> _Said | None:
        """The same, ``None`` for nothing."""
        names = self._names(path)
        return self._entries[self._listed[names[0]]] if names else None

    def name(self, path: Path) -> str:
        """The name that a photo is listed by.

        Raises:
            KeyError: it is not listed.
        """
        if not (names := self._names(path)):
            raise KeyError(path.name)
        return self._listed[names[0]]

    def _names(self, path: Path) -> list[str]:
        """All names that may mean a photo."""
        own = path if self._endings else path.with_suffix("")
        below = name_told(self._folder, own)
        return [below] if below in self._listed else self._bare.get(own.name, [])

    def check_clear(self, paths: Sequence[Path]) -> None:
        """That each photo has one name and each name means one photo.

        Raises:
            ValueError: several; the message names them.
        """
        photos: dict[str, str] = {}
        for path in paths:
            own, names = name_told(self._folder, path), self._names(path)
            if len(names) > 1:
                raise ValueError(
                    f"folder has {own}, which is listed as {names[0]} and as {names[1]}: {_GO_BY}"
                )
            for name in names:
                if name in photos:
                    raise ValueError(
                        f"folder has {photos[name]} and {own}, and both are listed as {name}: {_GO_BY}"
                    )
                photos[name] = own
