"""The Python in the documentation runs; its shell commands parse; its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

import npp

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Its sections need packages that only some have: tests/integrations/test_frameworks_guide.py runs them.
GUIDE = ROOT / "docs" / "frameworks.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def _blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in _BLOCK.findall(page.read_text()) if name == language]


def _ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_there_is_python_to_run() -> None:
    assert len(_blocks(ROOT / "README.md", "python")) >= 1
    assert len(_blocks(ROOT / "docs" / "pillow.md", "python")) >= 3


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != GUIDE and _blocks(page, "python")], ids=_ids
)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's blocks one after another, in one namespace and an empty folder."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    namespace: dict[str, object] = {"__name__": "__main__"}
    try:
        for number, code in enumerate(_blocks(page, "python")):
            exec(compile(code, f"{page.name}, block {number}", "exec"), namespace)
    finally:
        torch.set_num_threads(threads)


def _joined(code: str) -> list[str]:
    """Lines, those that go on after a backslash as one."""
    return code.replace("\\\n", "").splitlines()


def _commands() -> list[list[str]]:
    lines = [line for page in PAGES for code in _blocks(page, "sh") for line in _joined(code)]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line and line[0] == "npp"]


def test_options_of_documented_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    import npp.cli

    commands = _commands()
    assert len(commands) >= 6
    for words in commands:
        with pytest.raises(SystemExit):
            npp.cli.main([words[1], "--help"])
        known = capsys.readouterr().out
        for option in (word for word in words[2:] if word.startswith("-") and word != "-"):
            assert option in known, " ".join(words)


def test_every_option_of_encode_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for option in npp.CodecOptions.__annotations__:
        assert f"--{option.replace('_', '-')}" in text


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = [*re.findall(r"`([^`\n]+)`", page.read_text()), *"\n".join(_blocks(page, "sh")).splitlines()]
    for words in map(str.split, code):
        if words[:1] == ["make"] and len(words) > 1:
            assert words[1] in targets, words
