"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

_OPEN = Image.open


@pytest.fixture(scope="session")
def shared() -> Path:
    """The research data beside the repository; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("NPP_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not path.is_dir():
        pytest.skip(f"{path} is absent (set NPP_SHARED)")
    return path


def pytest_configure() -> None:
    """Tests that run side by side share the cores: one thread of torch each, which small tensors want too.

    And Ctrl-C reaches what they start: a shell lets its background jobs, with all that they start, ignore it.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every test, whichever tests run."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (for libraries that draw from it)


@pytest.fixture(autouse=True)
def _restored_sigterm() -> Iterator[None]:
    """Commands that run in this process change what SIGTERM does; the next test finds it as it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def _pillows_own_open() -> None:
    """ultralytics replaces Pillow's ``Image.open`` when it is imported, be it by a fixture of a module."""
    Image.open = _OPEN


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A part of a real photo, uint8 (80, 112, 3): skimage's astronaut, public domain."""
    return np.ascontiguousarray(skimage.data.astronaut()[40:120, 180:292])


@pytest.fixture(scope="session")
def deep_photo(photo: np.ndarray) -> np.ndarray:
    """The same with all 16 bits in use, uint16."""
    low = np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint16)
    return photo.astype(np.uint16) << 8 | low
