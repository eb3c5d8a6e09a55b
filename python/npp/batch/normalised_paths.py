"""Paths written from the root, so that they can be compared."""

from __future__ import annotations

import os
from pathlib import Path


def without_dots(path: str | os.PathLike[str]) -> Path:
    """The path from the root without ``..``: links stay links, but for those that one leads back from."""
    parts = Path(path).absolute().parts
    back = max((index for index, part in enumerate(parts, 1) if part == ".."), default=0)
    return Path(os.path.realpath(Path(*parts[:back])), *parts[back:]) if back else Path(*parts)
