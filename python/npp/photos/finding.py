"""Photos of a folder: finding and splitting them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from npp.config.yaml_files import expand

Part = Literal["train", "val", "test"]
PHOTO_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def find_photos(folder: Path | str, include: str | Sequence[str] | None = None) -> list[Path]:
    """Photos below a folder, sorted by path.

    Args:
        folder: searched recursively; ``~`` and environment variables are expanded.
        include: one pattern or several, as ``*.jpg``; one with a slash is for the path below ``folder``,
            one without for the file's name. Files that Pillow does not know are left out. By default all of
            :data:`PHOTO_SUFFIXES`.

    Raises:
        ValueError: no such folder, or no photo in it.
    """
    root = Path(expand(str(folder)))
    if not root.is_dir():
        raise ValueError(f"data folder: {root} is not a folder")
    patterns = [include] if isinstance(include, str) else include
    suffixes = PHOTO_SUFFIXES if patterns is None else Image.registered_extensions()

    def wanted(path: Path) -> bool:
        if path.suffix.lower() not in suffixes:
            return False
        if patterns is None:
            return True
        below = path.relative_to(root).as_posix()
        return any(fnmatch(below if "/" in pattern else path.name, pattern) for pattern in patterns)

    paths = sorted(path for path in root.rglob("*") if wanted(path) and path.is_file())
    if not paths:
        raise ValueError(f"data folder: no photos ({', '.join(patterns or PHOTO_SUFFIXES)}) in {root}")
    return paths


def _place(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on the name only."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split(
    paths: Sequence[Path],
    part: Part = "train",
    seed: int = 0,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> list[Path]:
    """The photos of one part, in their order.

    A hash of the file's name says where a photo belongs, so that a photo stays in its part when others are
    added or the folder moves. Parts are therefore only about as large as their fractions.

    Args:
        paths: photos.
        part: ``"train"``, ``"val"`` or ``"test"``.
        seed: another seed is another split.
        fractions: of train, val and test; their sum is 1.

    Raises:
        ValueError: an unknown part or wrong fractions.
    """
    names = get_args(Part)
    if part not in names:
        raise ValueError(f"part must be one of {', '.join(names)}, not {part!r}")
    if (
        len(fractions) != len(names)
        or min(fractions) < 0
        or not math.isclose(sum(fractions), 1, abs_tol=1e-6)
    ):
        raise ValueError(f"fractions must be three numbers from 0 with sum 1, not {tuple(fractions)}")
    index = names.index(part)
    low, high = sum(fractions[:index]), sum(fractions[: index + 1])
    end = math.inf if index == len(names) - 1 else high
    return [path for path in paths if low <= _place(path.name, seed) < end]
