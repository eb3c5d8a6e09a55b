"""npp encode --shard and --manifest, and npp verify: parts make the whole, stopped runs go on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command_line import encode, files, run

import npp
from npp.batch import read_manifest


def _rows(path: str) -> dict[str, dict[str, Any]]:
    return {row["input"]: row for row in map(json.loads, Path(path).read_text().splitlines())}


def test_parts_make_the_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encode("photos", "-r", "-o", "whole") == 0
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        assert encode("photos", "-r", "-o", "parts", "--shard", "auto", "--manifest", "parts/m.jsonl") == 0
    assert files(folder / "whole") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    manifests = [f"parts/m.{rank:05d}-of-00003.jsonl" for rank in range(3)]
    inputs = [row.input for path in manifests for row in read_manifest(path)]
    assert sorted(inputs) == ["photos/a.png", "photos/b.jpg", "photos/deep/c.png"]
    for name in files(folder / "whole"):
        assert (folder / "parts" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    assert run("verify", *manifests) == 0


def test_a_manifest_says_what_became_of_every_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "photos" / "bad.png").write_bytes(b"no picture")
    assert encode("photos", "-o", "out", "--qp", 31, "--manifest", "out/m.jsonl") == 1
    rows = _rows("out/m.jsonl")
    file = Path("out/a.bpg").read_bytes()
    assert rows["photos/a.png"] == {
        "input": "photos/a.png",
        "output": "a.bpg",
        "bytes": len(file),
        "bpp": 8 * len(file) / (112 * 80),
        "qp": 31,
        "checksum": rows["photos/a.png"]["checksum"],
        "error": None,
    }
    assert rows["photos/bad.png"]["output"] is None
    assert rows["photos/bad.png"]["error"] == "cannot identify the picture's format"
    capsys.readouterr()
    assert run("verify", "out/m.jsonl") == 1
    assert "npp: photos/bad.png: cannot identify" in capsys.readouterr().err
    assert run("verify", "out/m.jsonl", "--known-errors", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"whole": 2, "wrong": 0, "not encoded": 1, "not decoded": 0}
    Path("out/a.bpg").write_bytes(file[:-1])
    Path("out/b.bpg").unlink()
    assert run("verify", "out/m.jsonl", "--known-errors", "-q") == 1
    said = capsys.readouterr().err
    assert f"npp: a.bpg: has {len(file) - 1} bytes" in said
    assert "npp: b.bpg: No such file" in said


def test_a_stopped_run_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos", "-r", "-o", "out", "--manifest", "m.jsonl") == 0
    whole = Path("m.jsonl").read_text()
    lines = whole.splitlines(keepends=True)
    gone = json.loads(lines[1])["output"]
    Path(gone).unlink()  # killed between the row and the file
    Path("m.jsonl").write_text("".join(lines[:2]) + lines[2][:20])  # and the third row torn
    capsys.readouterr()
    assert encode("photos", "-r", "-o", "out", "--manifest", "m.jsonl", "--skip-existing") == 0
    assert "1 written, 2 skipped" in capsys.readouterr().err
    rows, wanted = _rows("m.jsonl"), {row["input"]: row for row in map(json.loads, lines)}
    there = json.loads(lines[2])["input"]
    assert rows[there] == {**wanted[there], "qp": None}, "nobody knows the qp of a file that was there"
    del rows[there], wanted[there]
    assert rows == wanted
    assert run("verify", "m.jsonl") == 0


def test_a_file_that_was_replaced_gets_a_row_of_its_own(folder: Path) -> None:
    assert encode("photos", "-o", "out", "--manifest", "m.jsonl") == 0
    before = _rows("m.jsonl")
    assert encode("photos/a.png", "-o", "out/a.bpg", "--qp", 10, "--force") == 0
    assert run("verify", "m.jsonl") == 1
    assert encode("photos", "-o", "out", "--manifest", "m.jsonl", "--skip-existing") == 0
    rows = _rows("m.jsonl")
    assert rows["photos/b.jpg"] == before["photos/b.jpg"]
    assert rows["photos/a.png"]["bytes"] == Path("out/a.bpg").stat().st_size
    assert run("verify", "m.jsonl") == 0


@pytest.mark.parametrize("foreign", [b"", b"no picture at all"])
def test_a_foreign_file_in_a_results_place_is_a_failure(
    foreign: bytes, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/a.bpg").write_bytes(foreign)
    capsys.readouterr()
    assert encode("photos", "-o", "out", "--manifest", "m.jsonl", "--skip-existing", "--json") == 1
    told = capsys.readouterr()
    wrong = "out/a.bpg was there before, and: "
    assert f"npp: photos/a.png: {wrong}" in told.err
    reports = {report["file"]: report for report in json.loads(told.out)["files"]}
    assert reports["photos/a.png"]["status"] == "failed"
    assert reports["photos/a.png"]["error"].startswith(wrong)
    assert all(report["status"] == "written" for name, report in reports.items() if name != "photos/a.png")
    assert _rows("m.jsonl")["photos/a.png"]["error"].startswith(wrong)
    assert Path("out/a.bpg").read_bytes() == foreign, "it is somebody's"


def test_each_manifest_is_about_files_beside_itself(folder: Path) -> None:
    for name, picture in (("one", "photos/a.png"), ("two", "photos/b.jpg")):
        assert encode(picture, "-o", f"{name}/", "--manifest", f"{name}/m.jsonl") == 0
    assert run("verify", "one/m.jsonl", "two/m.jsonl") == 0


def test_an_existing_manifest_is_not_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/a.png", "-o", "out/", "--manifest", "m.jsonl") == 0
    assert encode("photos/b.jpg", "-o", "out/", "--manifest", "m.jsonl") == 2
    assert "m.jsonl exists; --skip-existing goes on" in capsys.readouterr().err
    assert encode("photos/b.jpg", "-o", "out/", "--manifest", "m.jsonl", "--skip-existing") == 0
    assert list(_rows("m.jsonl")) == ["photos/a.png", "photos/b.jpg"]
    assert encode("photos/b.jpg", "-o", "out/", "--manifest", "m.jsonl", "--force") == 0
    assert list(_rows("m.jsonl")) == ["photos/b.jpg"]


_ROW = '{"input": "x", "output": "x.bpg", "bytes": 1, "checksum": "0"}\n'
_FOREIGN = {"conf.json": '{"important": 1}', "broken.jsonl": _ROW + "nonsense\n" + _ROW, "notes": "text"}


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.mark.parametrize("engine", ["threads", "ray"])
@pytest.mark.parametrize("policy", ["--force", "--skip-existing", None])
@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("photos/a.png", "--manifest photos/a.png is read as an input; give it another name"),
        ("link.png", "--manifest link.png is read as an input; give it another name"),
        ("out/a.bpg", "--manifest out/a.bpg is an output of the command, too; give it another name"),
        ("out/a.bpg/m.jsonl", "--manifest out/a.bpg/m.jsonl and the output out/a.bpg cannot both be there"),
        ("out", "--manifest out and the output out/a.bpg cannot both be there"),
        ("photos", "--manifest: photos is a folder"),
        ("pipe", "--manifest: pipe is not an ordinary file"),
        ("photos/notes.txt", "--manifest must be a manifest or a new file: photos/notes.txt, line 1: "),
        ("conf.json", "--manifest must be a manifest or a new file: conf.json, line 1: "),
        ("broken.jsonl", "--manifest must be a manifest or a new file: broken.jsonl, line 2: "),
    ],
)
def test_a_manifest_replaces_nothing_else(
    manifest: str,
    said: str,
    policy: str | None,
    engine: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("link.png").symlink_to("photos/a.png")
    os.mkfifo("pipe")
    for name, text in _FOREIGN.items():
        Path(name).write_text(text)
    before = _contents(folder)
    arguments = ("photos", "-o", "out/", "--engine", engine, "--manifest", manifest)
    assert encode(*arguments, *([policy] if policy else [])) == 2
    assert f"npp: {said}" in capsys.readouterr().err
    assert _contents(folder) == before
    assert Path("pipe").is_fifo() and Path("link.png").is_symlink()


def test_a_manifest_is_told_from_outputs_of_all_parts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part's manifest has a name of its own, which may be that of another part's output."""
    Path("b.00000-of-00002.png").write_bytes(Path("photos/a.png").read_bytes())
    arguments = ("*.png", "-o", "out/", "--manifest", "out/b.bpg")
    for rank in range(2):
        assert encode(*arguments, "--shard", f"{rank}/2") == (2 if rank == 0 else 0)
    assert "--manifest out/b.00000-of-00002.bpg is an output" in capsys.readouterr().err


def test_a_manifest_stays_a_link_when_it_is_begun_anew(folder: Path) -> None:
    assert encode("photos/a.png", "-o", "out/", "--manifest", "real.jsonl") == 0
    Path("m.jsonl").symlink_to("real.jsonl")
    assert encode("photos/b.jpg", "-o", "out/", "--manifest", "m.jsonl", "--force") == 0
    assert Path("m.jsonl").is_symlink()
    assert list(_rows("real.jsonl")) == ["photos/b.jpg"]


def test_sharing_fills_a_manifest_too(folder: Path) -> None:
    arguments = ("photos", "-r", "-o", "out", "--share", "--mean-bpp", 2, "--manifest", "m.jsonl")
    assert encode(*arguments) == 0
    rows = _rows("m.jsonl")
    assert len(rows) == 3 and all(row["qp"] is not None for row in rows.values())
    assert run("verify", "m.jsonl") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "3/3"], "a shard must be RANK/WORLD with 0 <= RANK < WORLD, not 3/3"),
        (["--shard", "0/2", "--share", "--total", "1M"], "--share and --shard exclude each other"),
        (["--address", "auto"], "--address needs --engine ray"),
        (["--engine", "ray", "--shard", "0/2"], "--engine ray and --shard exclude each other"),
    ],
)
def test_wrong_usage(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos", "-o", "out", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


def test_the_limit_on_pixels_is_named_and_moved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos", "-o", "out", "--manifest", "m.jsonl") == 0
    capsys.readouterr()
    for threads in (1, 2):
        limit = ("--threads", threads, "--max-pixels", 112 * 80 - 1)
        assert run("verify", "m.jsonl", *limit, "--json") == 1
        report = json.loads(capsys.readouterr().out)
        assert report["counts"] == {"whole": 1, "wrong": 1, "not encoded": 0, "not decoded": 0}
        assert [one["error"] for one in report["files"] if one["status"] == "wrong"] == [
            "does not decode: 1 frame(s) of 112x80 are 8960 pixels; at most 8959 are allowed (--max-pixels)"
        ]
        assert run("verify", "m.jsonl", *limit, "--no-decode") == 0
        assert run("verify", "m.jsonl", "--threads", threads, "--max-pixels", 112 * 80) == 0
    before = npp.get_max_pixels()
    npp.set_max_pixels(100)
    try:
        assert run("verify", "m.jsonl") == 1
        assert run("verify", "m.jsonl", "--max-pixels", 112 * 80) == 0
    finally:
        npp.set_max_pixels(before)


def test_nothing_is_not_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos", "-o", "out", "--manifest", "m.jsonl") == 0
    Path("empty.jsonl").write_text("")
    Path("torn.jsonl").write_text('{"input": "photos/a.p')
    for options in ((), ("--known-errors",), ("--no-decode",), ("-q",)):
        capsys.readouterr()
        assert run("verify", "empty.jsonl", "torn.jsonl", *options) == 1
        assert capsys.readouterr().err == (
            "npp: empty.jsonl, torn.jsonl: no rows, so nothing is known to be whole\n"
        )
    assert run("verify", "empty.jsonl", "--json") == 1
    assert json.loads(capsys.readouterr().out)["counts"] == {
        "whole": 0,
        "wrong": 0,
        "not encoded": 0,
        "not decoded": 0,
    }
    assert run("verify", "empty.jsonl", "m.jsonl") == 0, "a part of a set may be empty"


def test_what_cannot_be_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = '{"input": "a", "output": 5, "error": "x"}'
    for content in ("nonsense\n", "nonsense", '{"important": 1}', wrong, f"{wrong}\n"):
        Path("m.jsonl").write_text(content)
        assert run("verify", "m.jsonl") == 2
        assert "m.jsonl, line 1: " in capsys.readouterr().err
    assert run("verify", "nothing.jsonl") == 2


def test_a_part_may_be_empty(folder: Path) -> None:
    codes = [encode("photos/a.png", "-o", "out/", "--shard", f"{rank}/5") for rank in range(5)]
    assert codes == [0] * 5 and files(folder / "out") == ["a.bpg"]
