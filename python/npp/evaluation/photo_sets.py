"""Which photos an evaluation uses, and how they come in batches of one size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from npp.config.yaml_files import Section
from npp.photos.finding import Part, find_photos, split
from npp.photos.loading import Mode, load_photo, photo_size

_SIZE, _LEAST = 224, 16


@dataclass(frozen=True)
class PhotoSet:
    """A set of photos as the configuration describes it.

    Attributes:
        folder, include: as :func:`npp.photos.finding.find_photos`.
        size, mode: as :func:`npp.photos.loading.load_photo`.
        part: of the split, or ``None`` for all photos.
        seed, fractions: of the split.
        limit: the most photos to take, or ``None``.
    """

    folder: str
    include: str | tuple[str, ...] | None
    size: int | tuple[int, int] | None
    mode: Mode
    part: Part | None
    seed: int
    fractions: tuple[float, ...]
    limit: int | None

    def paths(self) -> list[Path]:
        """The photos, in an order by a hash of their names: a higher limit adds photos and keeps the others.

        Raises:
            ValueError: there are none.
        """
        found = find_photos(self.folder, self.include)
        if self.part is not None:
            found = split(found, self.part, self.seed, self.fractions, root=self.folder)
        if not found:
            raise ValueError(f"data: the part {self.part!r} of {self.folder} has no photos")
        found.sort(key=lambda path: hashlib.sha256(path.name.encode()).digest())
        return found[: self.limit]

    def load(self, paths: list[Path]) -> Tensor:
        """Photos of one size as (N, 3, H, W) floats in [0, 1]."""
        return torch.stack([load_photo(path, self.size, self.mode) for path in paths])

    def batches(self, paths: list[Path], size: int) -> list[list[int]]:
        """Places in ``paths``, at most ``size`` together and all of a batch with pictures of one size."""
        groups: dict[tuple[int, int], list[int]] = {}
        for i, path in enumerate(paths):
            groups.setdefault(photo_size(path) if self.mode == "full" else (0, 0), []).append(i)
        return [part for group in groups.values() for part in _parts(group, size)]

    def describe(self) -> dict[str, Any]:
        """What decides the pixels of a photo, for keys of stored results."""
        return {"size": self.size, "mode": self.mode}


def _parts(places: list[int], size: int) -> Iterator[list[int]]:
    for begin in range(0, len(places), size):
        yield places[begin : begin + size]


def _include(value: Any) -> str | tuple[str, ...] | None:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if value is None or isinstance(value, str):
        return value
    raise ValueError("a pattern or a list of patterns is needed")


def _fractions(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("three numbers with sum 1 are needed")
    return tuple(float(one) for one in value)


def _size(value: Any) -> int | tuple[int, int]:
    sides = value if isinstance(value, list) else [value]
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) > 2 or not whole or min(sides, default=0) < _LEAST:
        raise ValueError(f"a whole number of at least {_LEAST} or [height, width] is needed")
    return (sides[0], sides[1]) if len(sides) == 2 else sides[0]


def _choice(section: Section, key: str, default: str, allowed: tuple[str, ...]) -> str:
    chosen = section.text(key, default)
    if chosen not in allowed:
        raise section.error(key, f"must be one of {', '.join(allowed)}, not {chosen!r}")
    return chosen


def read_photo_set(section: Section, *, part: Part) -> PhotoSet:
    """``data:`` of a configuration.

    Keys: ``folder``, ``include``, ``size`` (224; or height and width), ``mode`` (``crop``, ``resize`` or
    ``full``), ``part`` (``train``, ``val``, ``test`` or ``all``), ``split_seed``, ``fractions``, ``limit``.

    Args:
        section: the keys.
        part: where they name none.
    """
    mode = cast(Mode, _choice(section, "mode", "crop", get_args(Mode)))
    if mode == "full" and "size" in section:
        raise section.error("size", "and mode: full exclude each other")
    chosen = _choice(section, "part", part, (*get_args(Part), "all"))
    photos = PhotoSet(
        folder=section.text("folder"),
        include=section.convert("include", _include, None),
        size=None if mode == "full" else section.convert("size", _size, _SIZE),
        mode=mode,
        part=None if chosen == "all" else cast(Part, chosen),
        seed=section.integer("split_seed", 0),
        fractions=section.convert("fractions", _fractions, [0.8, 0.1, 0.1]),
        limit=None if section.take("limit", None) is None else section.integer("limit", low=1),
    )
    section.finish()
    return photos
