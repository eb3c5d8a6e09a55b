"""The scripts of the gallery run on tiny pictures, draw what their pages show, and have a page each."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "examples" / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py") if path.stem != "gallery_pictures")
SIZE = "64"


def test_there_are_scripts() -> None:
    assert 5 <= len(SCRIPTS) <= 10


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_draws_its_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    if name == "evaluate_and_plot":
        pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(GALLERY))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--out", str(tmp_path / "new"), "--size", SIZE])
    script = importlib.import_module(name)
    monkeypatch.setattr(script, "STEPS", 2, raising=False)
    state = torch.get_rng_state()
    try:
        script.main()
    finally:
        torch.set_rng_state(state)
        for module in (name, "gallery_pictures"):
            sys.modules.pop(module, None)
    with Image.open(tmp_path / "new" / f"{name}.png") as picture:
        low, high = picture.convert("L").getextrema()
        assert picture.width > int(SIZE)
        assert high - low > 50


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_has_a_page_with_its_picture(name: str) -> None:
    page = (ROOT / "docs" / "examples" / f"{name}.md").read_text()
    assert f"```{{literalinclude}} ../../examples/gallery/{name}.py" in page
    assert (ROOT / "docs" / "images" / "gallery" / f"{name}.png").is_file()
    assert f"examples/{name}\n" in (ROOT / "docs" / "index.md").read_text()
