"""What ``npp evaluate`` takes from its options, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from small_evaluation import values

import npp.cli


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main(["evaluate", *map(str, words)])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.fixture
def config(photos: Path, tmp_path: Path) -> Path:
    """Of six photos and two arms, with a folder for the results."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(values(photos, out=str(tmp_path / "as-written"))))
    return path


def test_the_folder_is_the_configurations_and_a_limit_is_said(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(config, "--limit", 2) == 0
    said, out = capsys.readouterr(), tmp_path / "as-written"
    assert said.out.splitlines()[-1] == str(out) and (out / "report.html").is_file()
    assert "on 2 photos, the most that --limit allows; intervals over few photos say little" in said.err
    assert "npp: measuring\n" in said.err, "every stage is said where there is no terminal"
    table, where = said.out.index("BD-rate"), said.out.index(str(out))
    assert table < where


def test_a_limit_above_what_there_is_leaves_nothing_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(config, "--limit", 7) == 0
    assert "npp: measured 2 arms at 5 qps on 6 photos\n" in capsys.readouterr().err
    assert _run(config, "--limit", 0) == 2
    assert "--limit" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("npp.evaluation.evaluation_run.write_report", stopped)
    assert _run(config, "--limit", 2) == 130
    said = capsys.readouterr()
    assert said.err.endswith("npp: stopped; the same command goes on from here\n") and said.out == ""


def test_quiet_is_silent_about_what_goes_well(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(config, "--limit", 2, "--out", tmp_path / "own", "-q") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    assert (tmp_path / "own" / "report.html").is_file() and not (tmp_path / "as-written").exists()
