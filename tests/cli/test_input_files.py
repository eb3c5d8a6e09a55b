"""What arguments mean and where results go: files, folders, patterns, links."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from closed_folders import close_folder
from command_line import encode, files, run

import npp
from npp.batch.manifest import read_manifest


def test_folder_to_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos", "-o", "out") == 0
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    assert "2 written" in capsys.readouterr().err
    assert encode("photos/", "-o", "all/", "--recursive") == 0
    assert files(folder / "all") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert run("decode", "all", "-r", "-o", "again", "--format", "webp", "-q") == 0
    assert files(folder / "again") == ["a.webp", "b.webp", "deep/c.webp"]
    assert capsys.readouterr().err.count("\n") == 4


def test_patterns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("photos/*.png", "-o", "one") == 0
    assert files(folder / "one") == ["a.bpg"]
    assert encode("photos/**/*.[pj][np]g", "-o", "all") == 0
    assert files(folder / "all") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert encode("photos/*.gif", "-o", "none") == 2
    assert "photos/*.gif: no files match" in capsys.readouterr().err
    assert not Path("none").exists()


def test_a_name_with_brackets_is_a_name(folder: Path) -> None:
    Path("photos/a.png").rename("photos/a[1].png")
    assert encode("photos/a[1].png", "-o", "x.bpg") == 0


def test_single_file_into_an_existing_folder(folder: Path) -> None:
    Path("out").mkdir()
    assert encode("photos/a.png", "-o", "out") == 0
    assert encode("photos/b.jpg", "-o", "new/sub/") == 0
    assert encode("photos/b.jpg", "-o", "deep/er/b.bpg") == 0
    assert files(folder / "out") == ["a.bpg"]
    assert files(folder / "new") == ["sub/b.bpg"]
    assert files(folder / "deep") == ["er/b.bpg"]


def test_the_same_file_twice_is_one(folder: Path) -> None:
    assert encode("photos/a.png", "photos/*.png", "./photos/../photos/a.png", "-o", "out") == 0
    assert files(folder / "out") == ["a.bpg"]


def test_a_way_back_from_a_link_leads_to_another_file(folder: Path) -> None:
    Path("far/away").mkdir(parents=True)
    Path("far/b.jpg").write_bytes(Path("photos/b.jpg").read_bytes())
    Path("photos/link").symlink_to(folder / "far" / "away")
    assert encode("photos/a.png", "photos/link/../b.jpg", "-o", "out") == 0
    assert encode("photos/link/../b.jpg", "-o", "out/one/") == encode("photos/b.jpg", "-o", "out/two/") == 0
    # Both are named b.jpg, so that taking them for one file would hide that their results meet.
    assert encode("photos/b.jpg", "photos/link/../b.jpg", "-o", "out") == 2


def test_one_bad_file_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/bad.png").write_bytes(Path("photos/a.png").read_bytes()[:500])
    Path("photos/worse.jpg").write_text("no picture")
    assert encode("photos", "missing.png", "-o", "out") == 1
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    err = capsys.readouterr().err
    assert "npp: photos/bad.png: " in err and "npp: photos/worse.jpg: " in err
    assert "npp: missing.png: No such file or directory\n" in err
    assert "2 written, 3 failed" in err
    (folder / "out" / "bad.bpg").write_bytes(Path("out/a.bpg").read_bytes()[:-20])
    assert run("decode", "out", "-o", "again") == 1
    assert files(folder / "again") == ["a.png", "b.png"]
    assert "npp: out/bad.bpg: " in capsys.readouterr().err


def test_existing_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/a.bpg").write_bytes(b"precious")
    assert encode("photos", "-o", "out") == 1
    assert "out/a.bpg exists; --force replaces it, --skip-existing leaves it" in capsys.readouterr().err
    assert Path("out/a.bpg").read_bytes() == b"precious"
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    Path("out/b.bpg").unlink()
    assert encode("photos", "-o", "out", "--skip-existing") == 0
    assert "1 written, 1 skipped" in capsys.readouterr().err
    assert Path("out/a.bpg").read_bytes() == b"precious"
    assert encode("photos", "-o", "out", "--force") == 0
    assert npp.probe(Path("out/a.bpg").read_bytes()).width == 112
    assert files(folder / "out") == ["a.bpg", "b.bpg"]


def test_links_to_one_file_give_a_result_each(folder: Path) -> None:
    Path("in").mkdir()
    for name in "ab":
        Path(f"in/{name}.png").symlink_to(folder / "photos" / "a.png")
    Path("in/linked").symlink_to(folder / "photos")
    Path("in/second").symlink_to(folder / "photos")
    assert encode("in", "-o", "flat") == 0
    assert files(folder / "flat") == ["a.bpg", "b.bpg"]
    everything = ["a.bpg", "b.bpg"]
    everything += [
        f"{link}/{name}" for link in ("linked", "second") for name in ("a.bpg", "b.bpg", "deep/c.bpg")
    ]
    assert encode("in", "-r", "-o", "all") == 0
    assert files(folder / "all") == everything
    assert encode("in/a.png", "in/b.png", "-o", "named") == 0
    assert files(folder / "named") == ["a.bpg", "b.bpg"]
    assert encode("in/**/*.*g", "-o", "matched") == 0
    assert files(folder / "matched") == everything


def test_a_link_that_leads_back_is_no_circle(folder: Path) -> None:
    Path("photos/deep/back").symlink_to(folder / "photos")
    Path("photos/self").symlink_to(folder / "photos")
    assert encode("photos", "-r", "-o", "out") == 0
    assert files(folder / "out") == ["a.bpg", "b.bpg", "deep/c.bpg"]
    assert encode("photos/**/*.[jp][np]g", "-o", "two") == 0
    assert files(folder / "two") == ["a.bpg", "b.bpg", "deep/c.bpg"]


def test_folders_that_link_to_each_other_give_each_picture_once(folder: Path) -> None:
    names = [f"d{i}" for i in range(8)]
    for name in names:
        Path("linked", name).mkdir(parents=True)
        shutil.copy("photos/a.png", f"linked/{name}/{name}.png")
        for other in names:
            if other != name:
                Path(f"linked/{name}/to_{other}").symlink_to(folder / "linked" / other)
    expected = [f"{name}/{name}.bpg" for name in names]
    for inputs, out in (("linked", "out"), ("linked/**/*.png", "two")):
        assert encode(inputs, "-r", "-o", out) == 0
        assert files(folder / out) == expected


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("nothing.png", "No such file or directory"),
        ("gone.png", "Too many levels of symbolic links"),
        ("n" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize("inputs", ["photos", "photos/*.png", "photos/**/*.png"])
def test_a_link_that_leads_nowhere_is_reported(
    folder: Path, inputs: str, to: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/gone.png").symlink_to(to)
    assert encode(inputs, "-o", "out") == 1
    assert f"npp: photos/gone.png: {words}" in capsys.readouterr().err
    assert "a.bpg" in files(folder / "out")


def test_a_link_to_itself_is_one_failed_file_of_info(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos/a.png", "-o", "out/") == 0
    Path("out/loop.bpg").symlink_to("loop.bpg")
    assert run("info", "out") == 1
    printed = capsys.readouterr()
    assert "npp: out/loop.bpg: Too many levels of symbolic links" in printed.err
    assert "out/a.bpg" in printed.out


def _info_in_time(inputs: str) -> subprocess.CompletedProcess[str]:
    """``npp info`` in a process of its own, for it could wait at a pipe for ever."""
    command = [sys.executable, "-m", "npp", "info", inputs]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("inputs", ["out", "out/*.bpg", "out/**/*.bpg"])
def test_pipes_and_sockets_are_passed_over(folder: Path, inputs: str) -> None:
    assert encode("photos/a.png", "-o", "out/") == 0
    os.mkfifo("out/pipe.bpg")
    Path("out/to_it.bpg").symlink_to("pipe.bpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("out/socket.bpg")
    done = _info_in_time(inputs)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a.bpg" in done.stdout and "pipe" not in done.stdout
    Path("out/a.bpg").unlink()
    none = _info_in_time(inputs)
    assert none.returncode == 2
    assert f"{inputs}: no " in none.stderr


def test_a_pipe_that_is_named_is_read(folder: Path) -> None:
    os.mkfifo("pipe.png")
    command = [sys.executable, "-m", "npp", "encode", "--effort", "1", "pipe.png", "-o", "a.bpg"]
    with subprocess.Popen(command) as process:
        Path("pipe.png").write_bytes(Path("photos/a.png").read_bytes())
        assert process.wait(60) == 0
    assert npp.probe(Path("a.bpg").read_bytes()).width == 112


def test_one_picture_under_two_folders_names_is_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("also").symlink_to(folder / "photos")
    assert encode("photos", "also", "-o", "out") == 0
    assert files(folder / "out") == ["a.bpg", "b.bpg"]
    assert "2 written" in capsys.readouterr().err


def test_hidden_files_and_folders_are_no_pictures(folder: Path) -> None:
    for name in (".thumbs/t.png", ".ipynb_checkpoints/a-checkpoint.png", "._a.png"):
        Path("photos", name).parent.mkdir(exist_ok=True)
        Path("photos", name).write_bytes(b"x")
    assert encode("photos", "-r", "-o", "out") == 0
    assert encode("photos/**/*.png", "-o", "two") == 0
    assert files(folder / "two") == ["a.bpg", "deep/c.bpg"]


@pytest.mark.parametrize("inputs", ["photos", "photos/**/*.png", "photos/*/*.png", "photos/deep"])
def test_a_folder_that_may_not_be_read_is_a_failure(
    inputs: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    close_folder(folder / "photos" / "deep", monkeypatch)
    assert encode(inputs, "-r", "-o", "out/", "--manifest", "m.jsonl") == 1
    assert "npp: photos/deep: Permission denied\n" in capsys.readouterr().err
    failed = {row.input: row.error for row in read_manifest("m.jsonl") if row.error}
    assert failed == {"photos/deep": "Permission denied: photos/deep"}
    assert "out/a.bpg" in files(folder) or "deep" in inputs or "/*/" in inputs


@pytest.mark.parametrize("inputs", ["photos", "photos/**/*.png", "photos/*/*.png"])
def test_a_folder_on_a_broken_disk_is_a_failure(
    inputs: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    close_folder(folder / "photos" / "deep", monkeypatch, errno.EIO)
    assert encode("photos/a.png", inputs, "-r", "-o", "out/") == 1
    assert "npp: photos/deep: Input/output error\n" in capsys.readouterr().err
    assert "a.bpg" in files(folder / "out")


def test_closed_folders_of_one_name_do_not_stop_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As lost+found of two disks, one after the other: both fail, and what else there is is coded."""
    for disk in ("one", "two"):
        shutil.copytree(folder / "photos", folder / disk)
        (folder / disk / "a.png").rename(folder / disk / f"{disk}.png")
        next((folder / disk).glob("b.*")).unlink()
    for disk in ("one", "two"):
        close_folder(folder / disk / "deep", monkeypatch)
    assert encode("one", "two", "-r", "-o", "out/") == 1
    assert files(folder / "out") == ["one.bpg", "two.bpg"]


def test_a_folder_that_may_not_be_read_fails_in_every_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode("photos", "-r", "-o", "out") == 0
    close_folder(folder / "photos" / "deep", monkeypatch)
    assert encode("photos", "-r", "-o", "shared/", "--share", "--total", "1M") == 1
    assert files(folder / "shared") == [".npp-share.jsonl", "a.bpg", "b.bpg"]
    close_folder(folder / "out" / "deep", monkeypatch)
    assert run("decode", "out", "-r", "-o", "again") == 1
    assert files(folder / "again") == ["a.png", "b.png"]
    assert run("info", "out", "-r") == 1
    assert capsys.readouterr().err.count("Permission denied") == 3
