"""Blocks of the documentation that are not Python for this machine: settings are read, programs compile."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import run
from doc_pages import PAGES, ROOT, blocks, name
from PIL import Image

import npp
from npp.cli.command_table import COMMANDS

# Every language of the pages, and what says that its blocks are right.
_LANGUAGES = {
    "python": "test_docs.py runs them, or a guide's test in tests/integrations where its packages are",
    "py": "tests/integrations/openmmlab runs those of its section, other tests there the others; below",
    "sh": "test_doc_commands.py runs them; below",
    "yaml": "test_doc_commands.py and test_doc_settings.py run them; below",
    "json": "below",
}
#: Programs in `py` by their page and a word in them, and the test that runs each: in the environment of
#: `make test-frameworks`, which has their packages, and elsewhere where these are.
_PROGRAMS = {
    ("docs/frameworks.md", "fiftyone"): "test_fiftyone_guide.py",
    ("docs/many-machines.md", "s3://"): "test_ray_object_store.py",
}
_DATA = {"folder": "photos"}
_TASK = {"name": "match", "model": "python:mine:network"}


def _blocks(language: str) -> list[Any]:
    """Their text, each with its page and its number there."""
    return [
        pytest.param(block.code, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, language))
    ]


def test_every_language_is_looked_at() -> None:
    assert {block.language for page in PAGES for block in blocks(page)} == set(_LANGUAGES)


def _columns(text: str) -> list[str]:
    """Settings that stand beside each other, each below a comment that names it."""
    starts = [match.start() for match in re.finditer("#", text.splitlines()[0])]
    ends = [*starts[1:], None]
    return [
        "\n".join(line[a:b].rstrip() for line in text.splitlines()) for a, b in zip(starts, ends, strict=True)
    ]


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_settings_are_read(text: str, tmp_path: Path) -> None:
    """Settings are those of an evaluation, of a training or of a task; what a block leaves out is put in."""
    from npp.evaluation import parse_config
    from npp.training import TaskConfig, load_config

    if text.splitlines()[0].count("# ") > 1:
        for part in _columns(text):
            test_settings_are_read(part, tmp_path)
        return
    values = yaml.safe_load(text)
    if "arms" in values or "analysis" in values:
        names = {name for group in values.get("analysis", {}).get("groups", {}).values() for name in group}
        arms = [{"name": "bpg"}, *({"name": name} for name in sorted(names | {"blur"}))]
        detector = {"name": "detection", "model": "fastestdet:x.onnx", "label": "NanoDet"}
        whole = {"data": {**_DATA, "mode": "full"}, "seen": [detector], "arms": arms}
        parse_config(whole | values)
    elif "name" in values:
        values.pop("name")
        TaskConfig("detection", settings=values)
    else:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"data": _DATA, "tasks": [_TASK]} | values))
        load_config(path)


@pytest.mark.parametrize("text", _blocks("json"))
def test_reports_have_the_fields_of_the_page(
    text: str,
    photo: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")
    assert run("encode", "photo.png", "-o", "photo.bpg", "--qp", 32, "--json") == 0
    report = json.loads(capfd.readouterr().out)
    shown = json.loads(text)
    assert report.keys() == shown.keys()
    assert [file.keys() for file in report["files"]] == [file.keys() for file in shown["files"]]
    for field, value in shown["files"][0].items():
        assert type(report["files"][0][field]) is type(value), field


def _imported(tree: ast.AST) -> Iterator[tuple[str, Any]]:
    """What is imported from npp, each with the name that it has here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npp":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                yield alias.asname or alias.name, getattr(module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "npp":
                    module = importlib.import_module(alias.name)
                    yield alias.asname or "npp", module if alias.asname else npp


def _called(node: ast.expr, values: dict[str, Any]) -> Any:
    """What a name, or names with points between, stand for, if the first was imported from npp."""
    if isinstance(node, ast.Attribute):
        owner = _called(node.value, values)
        return None if owner is None else getattr(owner, node.attr)
    return values.get(node.id) if isinstance(node, ast.Name) else None


def _bind_calls(code: str) -> None:
    """Gives the arguments of each call of npp to its signature."""
    tree = ast.parse(code)
    values = dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called := _called(node.func, values)) is not None:
            named = {word.arg: None for word in node.keywords if word.arg}
            inspect.signature(called).bind(*node.args, **named)


@pytest.mark.parametrize("code", _blocks("py"))
def test_programs_of_other_machines_call_what_there_is(code: str) -> None:
    """They compile, import public names, and give arguments that these take."""
    compile(code, "block", "exec")
    _bind_calls(code)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import npp\nnpp.decode()", TypeError),
        ("import npp\nnpp.decoded(b'')", AttributeError),
        ("from npp.integrations.ray import Cluster\nCluster(nodes=2)", TypeError),
        ("from npp.integrations.ray import Clusters", AttributeError),
        ("import npp.pillow as bpg\nbpg.nothing()", AttributeError),
    ],
)
def test_a_call_of_what_there_is_not_is_seen(code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        _bind_calls(code)


def test_every_program_is_run_somewhere() -> None:
    """Those in the section on OpenMMLab by the section's test, which runs each of them."""
    section = (ROOT / "docs/frameworks.md").read_text().partition("\n## MMDetection and MMPretrain\n")[2]
    elsewhere = section.partition("\n## ")[0]
    found = set()
    for page in PAGES:
        for block in blocks(page, "py"):
            keys = {key for key in _PROGRAMS if key[0] == name(page) and key[1] in block.code}
            assert keys or block.code in elsewhere, block.code
            found |= keys
    assert found == set(_PROGRAMS)
    for test in _PROGRAMS.values():
        assert "blocks(_PAGE" in (ROOT / "tests/integrations" / test).read_text()


def _extras() -> set[str]:
    part = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    return set(re.findall(r"^(\w+) = \[", part.split("\n[")[0], re.MULTILINE))


def _commands() -> list[list[str]]:
    lines = [line for param in _blocks("sh") for line in param.values[0].replace("\\\n", "").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_scripts_settings_and_extras_of_commands_exist() -> None:
    extras = _extras()
    counted = {"scripts": 0, "settings": 0, "extras": 0}
    for words in _commands():
        for word in words:
            if re.fullmatch(r"(benchmarks|examples|packaging|tools|tests)/[\w/]+\.py", word):
                counted["scripts"] += 1
                # MMDetection's own tools are called so in its clone.
                assert (ROOT / word).is_file() or word in ("tools/train.py", "tools/test.py"), word
            if word.startswith("configs/") and word.endswith(".yaml"):
                counted["settings"] += 1
                assert (ROOT / word).is_file(), word
            for extra in re.findall(r"(?:^|[./]|npp)\[([\w,]+)\]$", word):
                counted["extras"] += 1
                assert set(extra.split(",")) <= extras, word
    assert min(counted.values()) > 2, counted


def test_subcommands_in_the_text_exist() -> None:
    """What pages call `npp WORD`, in sentences and in comments, is a command of npp."""
    known, found = set(COMMANDS), 0
    for page in PAGES:
        for word in re.findall(r"`npp ([a-z][\w-]*)", page.read_text()):
            assert word in known, (page.name, word)
            found += 1
    assert found > 20


def test_extras_in_the_text_exist() -> None:
    extras = _extras()
    for page in PAGES:
        for names in re.findall(r"npp\[([\w,]+)\]|'\.\[([\w,]+)\]'", page.read_text()):
            for extra in "".join(names).split(","):
                assert extra in extras, (page.name, extra)
