"""Values of photos from files that list them by name: tables, COCO's JSON, folders of maps.

Such a file has entries, each with the name of its photo:

- A **relative path** is the photo's below the folder of the photos: ``cat/0.png``. An absolute path
  into that folder, and one that leads out of it and back (``../photos/cat/0.png``), count as such.
- A **bare name** is the last part of a path: ``0.png``. It names a photo in any folder, and so does a
  path in a folder that the photos do not have (``elsewhere/0.png``).

A map of classes has another suffix than its photo, so its entry's name has none.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from npp.photos.finding import name_below

_Value = TypeVar("_Value")
#: The ways in which entries name photos, for messages.
GO_BY = "real labels go by the path below folder, or by the file name where one photo has it"


def entry_name(text: str) -> str:
    """The name of a photo in an entry, with ``/`` between folders."""
    return PurePosixPath(text.replace("\\", "/")).as_posix()


def _relative(folder: str, name: str) -> str:
    """An entry's name as a path below the folder, if it is absolute or leads out of the folder and back.

    A path to somewhere else is returned as it is.
    """
    if not folder or not (name.startswith("/") or ".." in PurePosixPath(name).parts):
        return name
    root = Path(os.path.normpath(Path.cwd() / folder))
    target = Path(os.path.normpath(root / name))
    return target.relative_to(root).as_posix() if root in target.parents else name


class ByPhoto(Generic[_Value]):
    """Finds the entry of a photo: under its path below the folder, or else under its bare name.

    An entry with the path of another photo in the folder does not count for this one.

    Args:
        entries: values by :func:`entry_name`; a value is only read when it is used.
        folder: folder of the photos; empty if there are no entries.
        source: name of the file in messages, such as ``labels (classes.csv)``.
        endings: whether entries' names have the suffixes of the photos. If not, names with folders are always
            paths below the folder.

    Raises:
        ValueError: two names stand for one path below the folder.
    """

    def __init__(
        self, entries: Mapping[str, _Value], folder: str = "", *, source: str = "", endings: bool = True
    ) -> None:
        self._entries, self._folder, self._endings = entries, Path(folder), endings
        self.source = source
        self._names: dict[str, str] = {}  # names of the entries, by path below the folder
        for name in entries:
            path = _relative(folder, name)
            if path in self._names:
                raise ValueError(f"{path} is listed as {name}, too, and once is right")
            self._names[path] = name
        self._paths: dict[str, list[str]] = {}  # of entries that are found by bare name
        for path in self._names:
            _, slash, bare_name = path.rpartition("/")
            if not slash or (endings and not (self._folder / path).is_file()):
                self._paths.setdefault(bare_name, []).append(path)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def example(self) -> str:
        """The name of one entry as in the file; there must be an entry."""
        return next(iter(self._entries))

    def __contains__(self, photo: Path) -> bool:
        return bool(self._candidates(photo))

    def __getitem__(self, photo: Path) -> _Value:
        """The value of a photo.

        Raises:
            KeyError: the photo has none.
        """
        return self._entries[self.name(photo)]

    def get(self, photo: Path) -> _Value | None:
        """The value of a photo, ``None`` if it has none."""
        paths = self._candidates(photo)
        return self._entries[self._names[paths[0]]] if paths else None

    def name(self, photo: Path) -> str:
        """The name of a photo's entry.

        Raises:
            KeyError: the photo has none.
        """
        if not (paths := self._candidates(photo)):
            raise KeyError(photo.name)
        return self._names[paths[0]]

    def photo_name(self, photo: Path) -> str:
        """A photo's path below the folder, or its bare name if it is not in the folder."""
        return name_below(self._folder, photo) if self._folder in photo.parents else photo.name

    def _candidates(self, photo: Path) -> list[str]:
        """The paths of all entries that may mean a photo, its own path first."""
        named = photo if self._endings else photo.with_suffix("")
        path, by_bare_name = self.photo_name(named), self._paths.get(named.name, [])
        if path not in self._names:
            return by_bare_name
        # A photo with an entry of its own is not meant by entries in other folders.
        is_listed_twice = path != named.name and named.name in by_bare_name
        return [path, named.name] if is_listed_twice and not self._is_in_folder(named.name) else [path]

    def _is_in_folder(self, bare_name: str) -> bool:
        """Whether a bare name is also the path of a photo directly in the folder."""
        if self._endings:
            return (self._folder / bare_name).is_file()
        return any(self._folder.glob(f"{glob.escape(bare_name)}.*"))

    def check_clear(self, photos: Sequence[Path]) -> None:
        """Raises ValueError unless each photo has at most one entry, and each entry one photo.

        Raises:
            ValueError: there are several; the message names them.
        """
        within = f" in {self.source}" if self.source else ""
        photo_names: dict[str, str] = {}  # by the path of their entry
        for photo in photos:
            photo_name, paths = self.photo_name(photo), self._candidates(photo)
            if len(paths) > 1:
                first, second = (self._names[path] for path in paths[:2])
                raise ValueError(
                    f"folder has {photo_name}, which is listed as {first} and as {second}{within}: {GO_BY}"
                )
            for path in paths:
                if path in photo_names:
                    raise ValueError(
                        f"folder has {photo_names[path]} and {photo_name}, and both are listed as "
                        f"{path}{within}: {GO_BY}"
                    )
                photo_names[path] = photo_name
