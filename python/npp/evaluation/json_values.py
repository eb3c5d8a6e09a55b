"""Values for JSON, and writing of JSON files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npp.files import write_file


def finite(value: float) -> float | None:
    """The number if it is finite, else ``None``, for JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def _as_json(value: Any) -> Any:
    """The value with ``None`` in place of NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    return finite(value) if isinstance(value, float) else value


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    write_file(path, (json.dumps(_as_json(value), indent=1, allow_nan=False) + "\n").encode(), force=True)
