"""A finished run and its photos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

pytest.importorskip("lightning")
pytest.importorskip("yaml")

from small_runs import pictures, smoke

from npp.training.training_run import train_recipe


@contextmanager
def one_thread() -> Iterator[None]:
    """Small pictures gain nothing from more, and sums of two threads have other last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small photos."""
    folder = tmp_path_factory.mktemp("photos")
    for i, picture in enumerate(pictures(8, 72)):
        Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("finished")
    with one_thread():  # what lasts a session is made before what lasts a module
        return train_recipe(smoke(photos, out)).parent
