"""A set of photos: which files, how they are cut, and what becomes of files that cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor

import npp.checks as checks
from npp.codec.limits import why_too_large
from npp.config.yaml_files import fill_in
from npp.photos.finding import (
    Part,
    checked_fractions,
    checked_patterns,
    checked_seed,
    find_photos,
    name_below,
    split,
    warn_unreadable,
)
from npp.photos.loading import Mode, check_mode, height_and_width, load_photo, open_photo, photo_size

_T = TypeVar("_T")
_SIZE, _LEAST = 224, 8


@dataclass(frozen=True)
class PhotoSet:
    """Photos as a configuration describes them.

    Attributes:
        folder: searched recursively; ``~`` and environment variables are filled in when the set is made.
        include: patterns of file names, see :func:`npp.photos.finding.find_photos`.
        size: height and width of the pictures, or one number for both, at least 8 and together within
            :func:`npp.set_max_pixels`; 224 where it is ``None``, except with mode ``"full"``, which
            takes none.
        mode: ``"crop"`` cuts them out of the pixels as they are, ``"resize"`` scales the photo first until it
            just covers them, ``"full"`` takes all pixels.
        part: of the split, or ``"all"`` photos.
        fractions: of train, val and test (:func:`npp.photos.finding.split`).
        split_seed: of the split.
        limit: at most so many photos.

    Raises:
        ValueError: a wrong value; the message begins with the attribute's name.
    """

    folder: str
    include: str | list[str] | None = None
    size: int | tuple[int, int] | None = None
    mode: Mode = "crop"
    part: Part | Literal["all"] = "train"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    split_seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, os.PathLike)):
            raise ValueError(f"folder must be a path, not {checks.brief(self.folder)}")
        fill_in(self, "folder")
        checked_patterns(self.include)
        check_mode(self.mode)
        checks.one_of("part", self.part, (*get_args(Part), "all"))
        if self.size is not None and self.mode == "full":
            raise ValueError("size and mode: full exclude each other")
        if self.shape is not None and min(self.shape) < _LEAST:
            raise ValueError(f"size must be at least {_LEAST}, not {self.size}")
        if self.shape is not None and (reason := why_too_large(1, *self.shape[::-1])) is not None:
            raise ValueError(f"size is too large, not {self.size}: {reason}")
        if self.limit is not None and not checks.is_int(self.limit):
            raise ValueError(f"limit must be an integer or None, not {checks.brief(self.limit)}")
        checks.whole_at_least(self, 1, "limit")
        checked_fractions(self.fractions)
        object.__setattr__(self, "split_seed", checked_seed("split_seed", self.split_seed))

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of every picture, or ``None`` where each has its own."""
        return None if self.mode == "full" else height_and_width(_SIZE if self.size is None else self.size)

    def _photos(self) -> list[Path]:
        paths = find_photos(self.folder, self.include)
        if self.part != "all":
            count, paths = (
                len(paths),
                split(paths, self.part, self.split_seed, self.fractions, root=self.folder),
            )
            if not paths:
                fractions = list(self.fractions)
                raise ValueError(f"fractions {fractions} leave none of {count} photos for {self.part}")
        paths.sort(key=lambda path: _hash(name_below(self.folder, path)))
        return paths

    def paths(self) -> list[Path]:
        """The photos, in an order by a hash of their names: a higher limit adds photos and keeps the others.

        Raises:
            ValueError: there are none.
        """
        return self._photos()[: self.limit]

    def readable_paths(self, keep: Callable[[Path], bool] | None = None) -> list[Path]:
        """The photos that can be loaded, in the order of :meth:`paths`; each is loaded once to find out.

        Those that cannot be read are warned about.

        Args:
            keep: says of a photo whether it is wanted; the limit counts those that are.

        Raises:
            ValueError: there are none.
        """
        paths = filter(keep, self._photos()) if keep else self._photos()
        return readable(paths, self.limit, open_photo if self.mode == "full" else self.load_one)

    def load(self, paths: Sequence[Path]) -> Tensor:
        """Photos of one size as (N, 3, H, W) floats in [0, 1]."""
        return torch.stack([self.load_one(path) for path in paths])

    def load_one(self, path: Path) -> Tensor:
        """One photo (3, H, W) in [0, 1].

        Raises:
            OSError: it cannot be read.
        """
        return load_photo(path, self.shape, self.mode)

    def batches(self, paths: Sequence[Path], size: int) -> list[list[Path]]:
        """Batches of photos, at most ``size`` in each and all of a batch with pictures of one size."""
        groups: dict[tuple[int, int], list[Path]] = {}
        for path in paths:
            groups.setdefault(photo_size(path) if self.mode == "full" else (0, 0), []).append(path)
        return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


def in_hashed_order(paths: Iterable[Path]) -> list[Path]:
    """Photos in an order that has nothing to do with their folders or with where these are."""
    return sorted(paths, key=lambda path: (_hash("/".join(path.parts[-2:])), path))


def _hash(name: str) -> bytes:
    return hashlib.sha256(os.fsencode(name)).digest()


def _can_be_read(path: Path, load: Callable[[Path], object]) -> bool:
    try:
        load(path)
    except OSError as error:
        warn_unreadable(error)
        return False
    return True


def readable(
    paths: Iterable[Path], limit: int | None = None, load: Callable[[Path], object] = open_photo
) -> list[Path]:
    """The photos that can be read, at most ``limit``; each of the others is warned about.

    Args:
        paths: of the photos.
        limit: at most so many; ``None`` is all.
        load: what shall be possible with them; it raises OSError where it is not.

    Raises:
        ValueError: there are none.
    """
    good = list(islice((path for path in paths if _can_be_read(path, load)), limit))
    if not good:
        raise ValueError("folder has no photo that can be read")
    return good


def load_or_next(paths: Sequence[Path], index: int, load: Callable[[Path], _T]) -> tuple[_T, int]:
    """Loads a photo, or the next one that can be read.

    What takes a damaged photo's place depends on the photos alone, so that a continued run has it too.

    Returns:
        It, and the index of the photo that it was made of.

    Raises:
        OSError: no photo can be read.
    """
    first: OSError | None = None
    for step in range(len(paths)):
        current = (index + step) % len(paths)
        try:
            return load(paths[current]), current
        except OSError as error:
            first = first or error
    raise first or OSError("there are no photos")
