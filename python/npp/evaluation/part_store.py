"""Store of the finished parts of a measurement, which survive an interruption."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from npp.evaluation.installed_versions import versions
from npp.files import write_file

_Part = TypeVar("_Part")


def part_digest(value: Any) -> str:
    """A short hash of a JSON value, the same for the same value.

    It is separate from :func:`npp.config.digests.digest_of`, which writes JSON with spaces, because stored
    digests depend on the form. This one also refuses values that are not JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class PartStore:
    """A folder with one file for each finished part; files are written whole or not at all.

    Parts of other :func:`versions` are not found, and damaged ones count as missing.

    Args:
        folder: the folder, created when the first part is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = versions()

    def _path(self, key: Any) -> Path:
        return self._folder / f"{part_digest([self._versions, key])}.part"

    def load(self, key: Any) -> Any:
        """The part saved under a key, or ``None``.

        Args:
            key: a JSON value of all that the part depends on.
        """
        path = self._path(key)
        try:
            packed = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return torch.load(io.BytesIO(zlib.decompress(packed)), map_location="cpu", weights_only=True)
        except Exception:  # torch may raise anything for a file that it has not written
            warnings.warn(f"{path} is damaged; what was in it is measured again", stacklevel=2)
            return None

    def get_or_make(self, key: Any, make: Callable[[], _Part]) -> _Part:
        """The part saved under a key; if there is none, it is made and saved.

        Args:
            key: see :meth:`load`.
            make: returns the part, see :meth:`save`.
        """
        stored: _Part | None = self.load(key)
        if stored is not None:
            return stored
        part = make()
        self.save(key, part)
        return part

    def save(self, key: Any, part: Any) -> None:
        """Saves a part, which may hold dicts and lists of tensors, numbers and strings."""
        buffer = io.BytesIO()
        torch.save(part, buffer)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._path(key), zlib.compress(buffer.getvalue(), 1), force=True)
