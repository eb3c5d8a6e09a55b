"""Runs of ``npp encode --share`` over sixteen crops of a photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from command_line import encode
from PIL import Image

from npp.cli.share_state import STATE_NAME

SIDE = 96


@pytest.fixture
def crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with in/00.png to in/15.png: pictures that differ in how much they cost."""
    photo = skimage.data.astronaut()
    (tmp_path / "in").mkdir()
    for i in range(16):
        y, x = 100 * (i // 4), 100 * (i % 4)
        Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(tmp_path / "in" / f"{i:02}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shared_report(*arguments: object, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """The report of ``npp encode --share`` of the pictures in ``in`` into ``out``."""
    capsys.readouterr()
    assert encode("in", "-o", "out", "--share", *arguments, "--json", "-q") == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def results_size(folder: str = "out") -> int:
    """Bytes of all results in a folder."""
    return sum(path.stat().st_size for path in Path(folder).glob("*.bpg"))


def state_lines(kind: str) -> int:
    """Lines of one kind in the state of the run."""
    state = Path("out", STATE_NAME)
    return state.read_text().count(f'"kind": "{kind}"') if state.exists() else 0
