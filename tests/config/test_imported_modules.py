"""A file is not taken for the module that was imported from it before it was edited."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from npp.config.digests import hash_file, hash_files, hash_sources, note_modules
from npp.config.imported_modules import module_file
from npp.config.yaml_files import ConfigError
from npp.tasks import build_task

_CHANGED = "^module edited_nets has changed since it was imported: start a new process$"
_NETWORK = "from torch import nn\n\n\ndef small():\n    return nn.Dropout({})\n"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that Python finds."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "edited_nets.py"
    path.write_text(_NETWORK.format("0.1"))
    yield path
    sys.modules.pop("edited_nets", None)


def _load() -> None:
    settings = {"model": "python:edited_nets:small"}
    build_task("match", **settings)
    note_modules(settings)


def _import() -> object:
    return importlib.import_module("edited_nets")


def test_a_module_that_was_edited_after_its_import_is_refused(source: Path) -> None:
    _load()
    assert module_file("edited_nets") == source
    assert hash_files("python:edited_nets:small") == [hash_file(source)]
    source.write_text(_NETWORK.format("0.2"))
    with pytest.raises(ConfigError, match=_CHANGED):
        hash_files({"model": "python:edited_nets:small"})
    with pytest.raises(ConfigError, match=_CHANGED):
        hash_sources([_import().small], installed=False)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=_CHANGED):
        _load()
    source.write_text(_NETWORK.format("0.1"))
    _load()
    assert hash_files("python:edited_nets:small") == [hash_file(source)], "it is again what was imported"


def test_file_touched_after_import_still_counts_as_imported(source: Path) -> None:
    _import()
    os.utime(source, (1, 1))
    _load()
    assert module_file("edited_nets") == source
    assert hash_files("python:edited_nets:small") == [hash_file(source)]


def test_a_module_that_is_reloaded_is_what_its_file_says(source: Path) -> None:
    _load()
    source.write_text(_NETWORK.format("0.22"))
    importlib.reload(sys.modules["edited_nets"])
    _load()
    assert hash_files("python:edited_nets:small") == [hash_file(source)]


def test_deleted_module_file_is_refused_as_changed(source: Path) -> None:
    _load()
    source.unlink()
    with pytest.raises(ConfigError, match=_CHANGED):
        module_file("edited_nets")


def test_a_file_with_a_new_time_and_the_same_text_is_the_same(source: Path) -> None:
    _load()
    os.utime(source, (1, 1))
    assert module_file("edited_nets") == source


@pytest.mark.parametrize("name", ["sys", "no_such_module", ""])
def test_module_without_a_file_has_none(name: str) -> None:
    assert module_file(name) is None
