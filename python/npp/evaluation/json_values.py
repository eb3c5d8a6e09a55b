"""Numbers as JSON has them, and files of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npp.files import write_file


def finite(value: float) -> float | None:
    """A number as JSON has it: ``None`` for what is no number."""
    return value if math.isfinite(value) else None


def _as_json(value: Any) -> Any:
    """A value in which what is no number is ``None``: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    return finite(value) if isinstance(value, float) else value


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    write_file(path, (json.dumps(_as_json(value), indent=1, allow_nan=False) + "\n").encode(), force=True)
