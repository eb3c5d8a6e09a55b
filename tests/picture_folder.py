"""A folder of pictures for commands and engines to work on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with photos/a.png, photos/b.jpg and photos/deep/c.png."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(photo).save(tmp_path / "photos" / "a.png")
    Image.fromarray(photo[:40]).save(tmp_path / "photos" / "b.jpg")
    Image.fromarray(photo[:, :50]).save(tmp_path / "photos" / "deep" / "c.png")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / ".hidden.png").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path
