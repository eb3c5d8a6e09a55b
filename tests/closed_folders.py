"""Folders that cannot be read, also for those whom no permissions stop."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def close_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, reason: int = errno.EACCES) -> None:
    """From now on nobody can list the folder, for a reason out of those of ``errno``."""
    real, scandir = folder.resolve(), os.scandir

    def refusing(path: Any = ".") -> Any:
        if not isinstance(path, int) and Path(os.fspath(path)).resolve() == real:
            raise OSError(reason, os.strerror(reason), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
