"""The gallery's scripts run on tiny pictures and draw; their pages and notebooks say what they say."""

from __future__ import annotations

import ast
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "examples" / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py") if path.stem != "gallery_pictures")
SIZE = "64"


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder of the scripts is looked in, as for whoever starts one; nothing of it stays."""
    monkeypatch.syspath_prepend(str(GALLERY))
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
    sys.modules.pop("gallery_pictures", None)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """What makes the site's pages and notebooks of the scripts."""
    pytest.importorskip("jupytext")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import gallery_pages

    yield gallery_pages
    sys.modules.pop("gallery_pages", None)


def _needed(name: str) -> None:
    pytest.importorskip("skimage")
    if name == "evaluate_and_plot":
        pytest.importorskip("matplotlib")


def _is_drawn(path: Path) -> None:
    with Image.open(path) as picture:
        low, high = picture.convert("L").getextrema()
        assert picture.width > int(SIZE)
        assert high - low > 50


def _code(cells: list[str]) -> str:
    return ast.dump(ast.parse("\n".join(cells)))


def test_there_are_scripts() -> None:
    assert 5 <= len(SCRIPTS) <= 10


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.usefixtures("beside")
def test_script_draws_its_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _needed(name)
    out = tmp_path / "new"
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--out", str(out), "--size", SIZE])
    runpy.run_path(str(GALLERY / f"{name}.py"), run_name="__main__")
    _is_drawn(out / f"{name}.png")


@pytest.mark.parametrize("name", SCRIPTS)
def test_notebook_is_valid_and_has_the_code_of_the_script(name: str, pages: ModuleType) -> None:
    import nbformat

    made = pages.notebook(name)
    nbformat.validate(made)
    again = nbformat.reads(nbformat.writes(made), as_version=4)
    code = [cell.source for cell in again.cells if cell.cell_type == "code"]
    assert len(code) > 1
    assert _code(code) == _code([(GALLERY / f"{name}.py").read_text()])
    assert again.cells[0].cell_type == "markdown"
    assert "gallery_pictures.py" in again.cells[0].source
    assert all(not cell.get("outputs") for cell in again.cells)


@pytest.mark.usefixtures("beside")
def test_notebook_runs_whatever_the_command_line_of_its_kernel_says(
    tmp_path: Path, pages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    _needed("augmentation")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    names: dict[str, object] = {}
    for cell in pages.notebook("augmentation").cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    _is_drawn(tmp_path / "build" / "gallery" / "augmentation.png")


@pytest.mark.parametrize("name", SCRIPTS)
def test_page_shows_picture_and_code_and_offers_the_notebook(
    name: str, pages: ModuleType, tmp_path: Path
) -> None:
    pages.write(tmp_path)
    page = (tmp_path / f"{name}.md").read_text()
    assert (ROOT / "docs" / "images" / "gallery" / f"{name}.png").is_file()
    for said in (f"images/gallery/{name}.png", f"`notebook <{name}.ipynb>`", f"examples/gallery/{name}.py"):
        assert said in page
    fences = page.split("```python\n")[1:]
    assert _code([fence.split("\n```")[0] for fence in fences]) == _code(
        [(GALLERY / f"{name}.py").read_text()]
    )
    assert (tmp_path / f"{name}.ipynb").is_file()
    assert f"/generated/gallery/{name}.md" in (tmp_path / "overview.txt").read_text()


def test_pages_of_scripts_that_are_gone_go_too_and_others_stay_as_they_are(
    pages: ModuleType, tmp_path: Path
) -> None:
    pages.write(tmp_path)
    (tmp_path / "gone.ipynb").write_text("old")
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    pages.write(tmp_path)
    assert not (tmp_path / "gone.ipynb").exists()
    assert all(path.stat().st_mtime == 0 for path in tmp_path.iterdir())
