"""The site's sources: public names, commands and drawings have their places."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"site_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The pages that a build would write, by name."""
    generated = _load(DOCS / "generated_pages.py")
    monkeypatch.setattr(generated, "FOLDER", tmp_path / "generated")
    generated.write()
    return {path.stem: path.read_text() for path in (tmp_path / "generated").glob("*.rst")}


def test_every_public_name_is_on_an_api_page(pages: dict[str, str]) -> None:
    api = "\n".join(text for name, text in pages.items() if name.startswith("api-"))
    inventory = (ROOT / "tests" / "package" / "inventory.txt").read_text()
    names = [re.split(r"[ (:]", line)[0] for line in inventory.splitlines() if not line.startswith(" ")]
    assert len(names) > 100
    for full in names:
        room, _, name = full.rpartition(".")
        directive = re.escape(full)
        shown = (
            rf"^\.\. auto(class|function):: {directive}$",
            rf"^\.\. py:data:: {re.escape(name)}$",
            rf"^- ``{directive}`` is ",
            rf"^- (:py:mod:)?`+{directive}`+$",
        )
        assert any(re.search(pattern, api, re.MULTILINE) for pattern in shown), full
        assert room.startswith("npp")


def test_every_public_constant_is_described(pages: dict[str, str]) -> None:
    api = "\n".join(text for name, text in pages.items() if name.startswith("api-"))
    constants = re.findall(r"^\.\. py:data:: (\w+)\n((?:   :\w+:.*\n)+)\n(   \w.*)?", api, re.MULTILINE)
    assert {"VIEWS", "NAMES", "DEFAULT_SURROGATE"} <= {name for name, _, _ in constants}
    # What the version is need not be said.
    assert [name for name, _, said in constants if not said and name != "__version__"] == []
    assert "four more looks at a picture" in api


def test_every_integration_is_on_an_api_page(pages: dict[str, str]) -> None:
    folder = ROOT / "python" / "npp" / "integrations"
    modules = [path.stem for path in folder.iterdir() if path.name != "__init__.py" and path.stem[0] != "_"]
    assert len(modules) >= 4
    for name in modules:
        assert f".. automodule:: npp.integrations.{name}\n" in pages["api-npp-integrations"], name


def test_every_room_is_in_the_table_of_contents(pages: dict[str, str]) -> None:
    for name in pages:
        if name.startswith("api-"):
            assert f"   {name}\n" in pages["api"]


def test_every_command_has_its_help(pages: dict[str, str]) -> None:
    for command in ("npp encode", "npp decode", "npp info", "npp recipes", "npp evaluate", "npp train proxy"):
        assert f"\n{command}\n---" in pages["commands"]
    assert "--restore-size" in pages["commands"]


def test_pages_of_rooms_that_are_gone_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated = _load(DOCS / "generated_pages.py")
    monkeypatch.setattr(generated, "FOLDER", tmp_path)
    (tmp_path / "api-npp-gone.rst").write_text("old")
    generated.write()
    assert not (tmp_path / "api-npp-gone.rst").exists()


def test_drawings_are_those_of_their_script() -> None:
    drawn = _load(DOCS / "drawings" / "draw.py")
    for name, draw in drawn.DRAWINGS.items():
        assert (DOCS / "drawings" / f"{name}.svg").read_text() == draw().svg(), name
    assert sorted(path.stem for path in (DOCS / "drawings").glob("*.svg")) == sorted(drawn.DRAWINGS)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_links_that_lead_nowhere_and_files_from_elsewhere_are_noticed(tmp_path: Path) -> None:
    check = _load(DOCS / "check_links.py")
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">b</a> <a href="https://example.org/">out</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"><script src="https://example.org/x.js"></script>')
    assert check.broken_links(tmp_path) == ["b.html: https://example.org/x.js is loaded from elsewhere"]
    (tmp_path / "b.html").write_text('<a href="c.html">c</a>')
    assert check.broken_links(tmp_path) == [
        "a.html: b.html#there has no such place",
        "b.html: c.html is not there",
    ]
