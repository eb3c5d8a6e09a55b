"""Paths written from the root, so that they can be compared."""

from __future__ import annotations

import os
from pathlib import Path


def without_dots(path: str | os.PathLike[str]) -> Path:
    """The absolute path without ``..``. Links are resolved only where ``..`` follows them."""
    parts = Path(path).absolute().parts
    back = max((index for index, part in enumerate(parts, 1) if part == ".."), default=0)
    return Path(os.path.realpath(Path(*parts[:back])), *parts[back:]) if back else Path(*parts)
