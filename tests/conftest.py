"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The research data beside the repository; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("NPP_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not path.is_dir():
        pytest.skip(f"{path} is absent (set NPP_SHARED)")
    return path
