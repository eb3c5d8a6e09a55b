"""What help says and how it is ordered; words that are no command and no option are answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from command_line import run
from typer.main import get_command

from npp.cli.app import app
from npp.cli.help_panels import PAGE, PANELS
from npp.cli.near_names import near_commands


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command that does something, with its words."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(None):
        yield from _commands(command.get_command(None, name), (*path, name))


_ALL = dict(_commands(get_command(app)))


def _help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(*words, "--help") == 0
    return capsys.readouterr().out


def test_all_commands_are_looked_at() -> None:
    assert {"encode", "decode", "verify", "info", "recipes", "evaluate"} < {words[0] for words in _ALL}
    assert {("train", "preprocessor"), ("train", "proxy")} < set(_ALL)


@pytest.mark.parametrize("words", _ALL, ids=" ".join)
def test_every_option_is_in_a_panel(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    options = [one for one in _ALL[words].params if one.param_type_name == "option" and not one.hidden]
    assert options
    for option in options:
        assert option.rich_help_panel in PANELS, option.name
    said = _help(words, capsys)
    used = [panel for panel in PANELS if any(option.rich_help_panel == panel for option in options)]
    places = [said.index(f"\n{panel}:\n") for panel in used]
    assert places == sorted(places)
    assert "\nOptions:\n" not in said
    for option in options:
        place = re.search(rf"^  (-\w, )?{max(option.opts, key=len)}\s", said, re.MULTILINE)
        assert place is not None, option.name
        titles = [panel for panel, start in zip(used, places, strict=True) if start < place.start()]
        assert titles[-1] == option.rich_help_panel, option.name


def test_panels_tell_apart_what_encode_has(capsys: pytest.CaptureFixture[str]) -> None:
    parts = _help(("encode",), capsys).split(":\n")
    ends = {part.splitlines()[-1]: following for part, following in pairwise(parts)}
    for panel, option in {
        "Rate": "--qp ",
        "Codec": "--effort ",
        "Recipe and maps": "--for ",
        "Files and folders": "--output ",
        "Report": "--json ",
        "Help": "--help ",
    }.items():
        assert option in ends[panel]


@pytest.mark.parametrize("words", [(), ("train",), *_ALL], ids=" ".join)
def test_no_help_names_a_file_of_the_clone(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = _help(words, capsys)
    assert "docs/" not in said
    assert ".md" not in said


def test_pages_that_help_names_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    from doc_pages import PAGES

    titles = {page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for page in PAGES}
    named = 0
    for words in _ALL:
        for part in " ".join(_help(words, capsys).split()).split(PAGE)[1:]:
            assert part.split("'")[1] in titles
            named += 1
    assert named == 2


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["enc", "a.png"], "Did you mean encode?"),
        (["Encode"], "Did you mean encode?"),
        (["decdoe"], "Did you mean decode?"),
        (["eval"], "Did you mean evaluate?"),
        (["e"], "Did you mean encode or evaluate?"),
        (["train", "propxy", "--data", "x"], "Did you mean proxy?"),
    ],
)
def test_who_mistypes_a_command_is_told_which_are_near(
    given: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*given) == 2
    assert meant in capsys.readouterr().err


def test_what_is_near_no_command_gets_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert near_commands("", ["encode"]) == near_commands("xyz", ["encode"]) == ""
    assert run("xyz") == run("train", "xyz") == 2
    said = capsys.readouterr().err
    assert "No such command 'xyz'.\n" in said
    assert "Did you mean" not in said


@pytest.mark.parametrize("words", [["--quality", "80", "a.png", "-o", "b.bpg"], ["a.png", "--quality=80%"]])
def test_quality_is_told_to_be_qp(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", *words) == 2
    said = capsys.readouterr().err
    assert said.startswith("npp: --quality 80")
    assert "--qp instead, from 0, the best, to 51" in said
    assert "--quality" not in _help(("encode",), capsys)
