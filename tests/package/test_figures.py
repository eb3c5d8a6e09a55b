"""Figures on the pages are those of the result files; tables of measurements are written from such files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import npp

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
_MARKED = re.compile(r"<!-- results \w+ -->.*?<!-- end -->", re.DOTALL)
# What only a measurement gives: a signed percentage, an interval, times, sizes, decibels.
_MEASURED = re.compile(r"[-+]\d[\d.]* %|\[[-+−]\d|\d ?(ms|dB|GB)\b|\.\d{2,} → ")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script that fills the pages."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import report as script

    yield script
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_pages_have_what_the_result_files_have(report: ModuleType) -> None:
    marked = 0
    for page in report.PAGES:
        text = page.read_text()
        marked += len(re.findall(r"<!-- (results|figure) \w+ -->", text))
        assert report.filled(text) == text, f"{page.name}: run python benchmarks/report.py"
    assert marked > 30


def _recipe(target: str) -> str:
    """The lines of one target of the Makefile."""
    (found,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return str(found)


def test_every_table_of_costs_names_a_script_that_make_runs(report: ModuleType) -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    tables = re.findall(r"<!-- results (\w+) -->(.*?)<!-- end -->", page, re.DOTALL)
    assert {name for name, _ in tables} == set(report.codec_tables.MEASURED_BY)
    for name, shown in tables:
        script = report.codec_tables.MEASURED_BY[name]
        assert f"\n\nMeasured by `benchmarks/{script}`.\n" in shown, name
        target = "bench-gpu" if script == "gpu_step.py" else "bench"
        assert f"python benchmarks/{script}" in _recipe(target), name
    for target in ("bench", "bench-gpu"):
        scripts = re.findall(r"python (\S+)", _recipe(target))
        assert scripts[-1] == "benchmarks/report.py"
        assert all((ROOT / script).is_file() for script in scripts)


def test_a_figure_that_was_changed_by_hand_is_noticed(report: ModuleType) -> None:
    page = ROOT / "docs" / "performance.md"
    text = page.read_text()
    changed = re.sub(r"\| 8 \| (\S+) % \|", "| 8 | -9.9 % |", text, count=1)
    assert changed != text
    assert report.filled(changed) == text


def test_the_table_of_recipes_says_what_they_hold() -> None:
    rows = (ROOT / "docs" / "allocation.md").read_text().splitlines()
    for name in npp.Recipe.available():
        recipe = npp.Recipe.load(name)
        (row,) = (line for line in rows if line.startswith(f"| `{name}` |"))
        assert recipe.allocator is not None
        said = [f"strength {recipe.allocator.settings.strength:g} |"]
        said += [str(value) for value in recipe.options.values()]
        assert all(words in row for words in said), (row, said)
        assert ("| none |" in row) == (recipe.preprocessor is None)


def test_no_line_begins_with_a_figure(report: ModuleType) -> None:
    """Markdown takes a comment at a line's beginning for HTML up to the paragraph's end."""
    for page in report.PAGES:
        assert not re.search(r"^ *<!-- figure", page.read_text(), re.MULTILINE), page.name


def _tables(text: str) -> list[list[str]]:
    """Tables of a page as their lines."""
    found: list[list[str]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append(line)
        before = line
    return found


def test_tables_of_measurements_are_not_typed_by_hand(report: ModuleType) -> None:
    looked_at = 0
    for page in report.PAGES:
        for table in _tables(_MARKED.sub("", page.read_text())):
            looked_at += 1
            for row in table[1:]:
                typed = re.sub(r"<!-- figure.*?<!-- end -->", "", row)
                assert not _MEASURED.search(typed), f"{page.name}: {row} has measurements and no result file"
    assert looked_at > 30
