"""Finished parts of an evaluation, kept so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from pathlib import Path
from typing import Any

import torch

from npp._build import __version__, build_config
from npp.files import write_file


def digest(value: Any) -> str:
    """A short hash of a JSON value, the same for the same value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class PartStore:
    """One file for each finished part; a file is there whole or not at all.

    Args:
        folder: made when the first part is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Another npp or x265 may measure something else.
        self._versions = {"npp": __version__, "x265": build_config()["x265_version"]}

    def _path(self, key: Any) -> Path:
        return self._folder / f"{digest([self._versions, key])}.part"

    def load(self, key: Any) -> Any:
        """The part saved under a key, or ``None``.

        Args:
            key: a JSON value that says all that the part depends on.
        """
        try:
            packed = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        return torch.load(io.BytesIO(zlib.decompress(packed)), weights_only=True)

    def save(self, key: Any, part: Any) -> None:
        """Keeps a part: dicts and lists of tensors, numbers and strings."""
        buffer = io.BytesIO()
        torch.save(part, buffer)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._path(key), zlib.compress(buffer.getvalue(), 1), force=True)
