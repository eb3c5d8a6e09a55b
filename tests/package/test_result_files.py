"""Where benchmarks write what they measured: one place, known before the work, and whole reports."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = sorted(
    path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)
files = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "result_files.py")))


def test_the_place_does_not_depend_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parser = files.report_parser("what it does", "results/codec.json")
    assert parser.parse_args([]).out == ROOT / "docs/results/codec.json"
    assert parser.parse_args(["--out", "own.json"]).out == tmp_path / "own.json"
    with pytest.raises(SystemExit):
        files.report_parser("what it does").parse_args([])


@pytest.mark.parametrize(
    ("place", "said"),
    [("nowhere/x.json", "is no folder"), (".", "is a folder"), ("/dev/null", "is not an ordinary file")],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    place: str, said: str, tmp_path: Path
) -> None:
    """A tool, which runs with Pythons that have no npp."""
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), "--build", "nowhere", "--out", place]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.search(f"argument --out: /.* {said}", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    files.write_report(path, {"a": [1, 2]})
    assert path.read_text() == '{\n "a": [\n  1,\n  2\n ]\n}\n'
    with pytest.raises(TypeError):
        files.write_report(path, {"a": 1, "b": object()})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    files.write_report(path, {"a": [1]}, indent=None)
    assert path.read_text() == '{"a": [1]}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_quick_look_does_not_replace_the_figures_of_the_pages(tmp_path: Path) -> None:
    parser = files.report_parser("what it does", "results/codec.json")
    parser.add_argument("--quick", action="store_true")
    files.refuse_quick(parser, parser.parse_args([]))
    files.refuse_quick(parser, parser.parse_args(["--quick", "--out", str(tmp_path / "own.json")]))
    with pytest.raises(SystemExit):
        files.refuse_quick(parser, parser.parse_args(["--quick"]))


def test_a_report_that_is_kept_in_part_has_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = files.report_parser("what it does", "results/codec.json")
    path = tmp_path / "own.json"
    with pytest.raises(SystemExit):
        files.read_report(parser, path, "--memory-only")
    assert f"--memory-only keeps a part of --out, and {path} is not there" in capsys.readouterr().err
    files.write_report(path, [1])
    assert files.read_report(parser, path, "--memory-only") == [1]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_every_benchmark_has_its_place_from_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ".write_text(" not in text
    assert "report_parser(" in text or "program_arguments(" in text or path.name == "report.py"
    assert '"--out"' not in text
