"""npp encode --share again: a stopped run goes on, and files of others are not replaced."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from command_line import encode, files, run
from isolated import run_mounted
from PIL import Image
from shared_runs import SIDE, results_size, shared_report, state_lines

import npp
from npp.batch.manifest import read_manifest
from npp.cli.input_files import Input
from npp.cli.output_files import Job
from npp.cli.share_job import SharedRun
from npp.cli.share_state import STATE_NAME, ShareState, file_identity


def _kill_when(kind: str, count: int, arguments: list[str]) -> None:
    """Runs the command in a process of its own and kills it once its state has so many lines."""
    command = [sys.executable, "-m", "npp", "encode", "in", "-o", "out", *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and state_lines(kind) < count:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_goes_on(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--share", "--total", "20k", "--threads", "1", "--effort", "9"]
    assert run("encode", "in", "-o", "whole", *arguments, "-q", "--json") == 0
    whole = json.loads(capsys.readouterr().out)["share"]["encodes"]
    _kill_when("curve", 5, arguments)
    assert 5 <= state_lines("curve") < 16
    _kill_when("file", 18, arguments)
    assert state_lines("curve") == 16, "what the first run had sampled was not sampled again"
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.bpg")}
    with Path("out", STATE_NAME).open("a") as state:
        state.write('{"kind": "file", "key"')  # a line that the kill has cut off
    capsys.readouterr()
    assert run("encode", "in", "-o", "out", *arguments, "--json") == 0
    out = capsys.readouterr().out
    share = json.loads(out)["share"]
    assert share["bytes"] == results_size("whole")
    assert share["encodes"] < whole - 8, "what had been encoded was encoded again"
    assert files(crops / "out") == files(crops / "whole"), "no state and no temporary file stays"
    for name in files(crops / "whole"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    untouched = [path for path, at in before.items() if path.stat().st_mtime_ns == at]
    assert untouched, "files that are as they will be stay where they are"
    assert all("psnr" in one for one in json.loads(out)["files"])


def test_kept_state_serves_another_total(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared_report("--total", "24k", "--keep-state", capsys=capsys)
    curves = state_lines("curve")
    assert curves == 16
    shared_report(
        "--total", "18k", "--keep-state", capsys=capsys
    )  # its own files are replaced without --force
    assert state_lines("curve") == curves
    assert 0.99 * 18_000 <= results_size() <= 18_000
    other = skimage.data.astronaut()[:SIDE, 400:496]
    earlier = np.asarray(Image.open("in/03.png")).astype(int)
    Image.fromarray(other).save("in/03.png")
    os.utime("in/03.png", ns=(1, 1))
    shared_report("--total", "18k", "--keep-state", "--tune", "machine", capsys=capsys)
    assert state_lines("curve") == curves + 16, "another tune has other curves"
    shared_report("--total", "18k", capsys=capsys)
    assert results_size() <= 18_000
    changed = Path("out/03.bpg").read_bytes()
    shown = npp.decode(changed).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(shown - other).mean() < 10 < np.abs(shown - earlier).mean(), "the picture that is there now"
    assert any(changed == npp.encode(other, qp, effort=1) for qp in range(52))


@pytest.mark.parametrize("way", ["absolute", "another folder", "a link"])
def test_run_is_resumed_by_any_path_to_its_folder(
    way: str, crops: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared_report("--total", "24k", "--keep-state", capsys=capsys)
    made = {name: (crops / "out" / name).read_bytes() for name in files(crops / "out")}
    places = {"absolute": (crops / "in", crops / "out"), "another folder": ("../in", "../out")}
    if way == "another folder":
        monkeypatch.chdir(crops / "in")
    if way == "a link":
        (crops / "same").symlink_to(crops)
    source, out = places.get(way, ("same/in", "same/out"))
    assert encode(source, "-o", out, "--share", "--total", "24k", "--keep-state", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["share"]["encodes"] == 0 and said.err.count("as it was") == 16
    assert {name: (crops / "out" / name).read_bytes() for name in made} == made


def test_foreign_files_are_not_replaced_and_bad_ones_do_not_stop_the_others(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/02.bpg").write_bytes(b"mine")
    Path("in/07.png").write_bytes(b"no picture")
    report = shared_report("--total", "20k", capsys=capsys, code=1)
    assert Path("out/02.bpg").read_bytes() == b"mine"
    status = {Path(one["file"]).stem: one["status"] for one in report["files"]}
    assert {name for name, one in status.items() if one == "failed"} == {"02", "07"}
    assert report["files"][2]["error"] == "out/02.bpg exists; --force replaces it"
    written = results_size() - 4
    assert 0.98 * 20_000 <= written <= 20_000
    assert report["share"]["bytes"] == written
    report = shared_report("--total", "20k", "--force", capsys=capsys, code=1)
    assert report["share"]["pictures"] == 15
    assert 0.98 * 20_000 <= results_size() <= 20_000


def test_a_result_that_was_changed_since_is_not_replaced(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name alone does not make it ours: what is in it must be what such a run has written."""
    shared_report("--total", "24k", "--keep-state", capsys=capsys)
    made = {path.name: path.read_bytes() for path in Path("out").glob("*.bpg")}
    Path("out/02.bpg").write_bytes(made["02.bpg"] + b"mine")
    Path("out/05.bpg").write_bytes(made["04.bpg"])
    report = shared_report("--total", "18k", "--keep-state", capsys=capsys, code=1)
    status = {Path(one["file"]).stem: one["status"] for one in report["files"]}
    assert {name for name, one in status.items() if one == "failed"} == {"02", "05"}
    assert report["files"][2]["error"] == "out/02.bpg exists; --force replaces it"
    assert Path("out/02.bpg").read_bytes() == made["02.bpg"] + b"mine"
    assert Path("out/05.bpg").read_bytes() == made["04.bpg"]
    Path("out/02.bpg").write_bytes(made["02.bpg"])
    Path("out/05.bpg").unlink()
    assert {one["status"] for one in shared_report("--total", "18k", capsys=capsys)["files"]} == {"written"}


def test_files_are_known_by_their_crc_32(tmp_path: Path) -> None:
    """Of "123456789" it is cbf43926, by which implementations are told to be right."""
    picture, target = tmp_path / "a.png", tmp_path / "out" / "a.bpg"
    target.parent.mkdir()
    picture.write_bytes(b"")
    job = Job(Input(picture, Path("a.png")), target)
    state = ShareState(target.parent / STATE_NAME, "curve", "file")
    source = file_identity(job.source)
    assert not state.is_ours(job)
    target.write_bytes(b"123456789")
    assert not state.is_ours(job), "nothing is known of it"
    state.put_file(job, source, 30, b"123456789", {})
    assert json.loads(state.path.read_text())["crc"] == 0xCBF43926
    for known in (state, ShareState(state.path, "curve", "file"), ShareState(state.path, "other", "other")):
        assert known.is_ours(job)
    assert state.is_there(job, source, 30) and not state.is_there(job, source, 31)
    target.write_bytes(b"123456780")
    assert not state.is_ours(job) and not state.is_there(job, source, 30)
    state.put_file(job, source, 31, b"123456780", {})
    assert state.is_ours(job) and state.is_there(job, source, 31) and not state.is_there(job, source, 30)


def test_same_command_encodes_what_failed_before(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path("in/07.png").read_bytes()
    Path("in/07.png").write_bytes(b"no picture")
    shared_report("--total", "20k", capsys=capsys, code=1)
    assert Path("out", STATE_NAME).exists()
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.bpg")}
    assert encode("in", "-o", "out", "--share", "--total", "20k") == 1
    assert f"npp: out/{STATE_NAME} stays: the same command goes on from it" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in Path("out").glob("*.bpg")} == before
    Path("in/07.png").write_bytes(whole)
    report = shared_report("--total", "20k", capsys=capsys)
    assert report["share"]["pictures"] == 16
    assert 0.98 * 20_000 <= results_size() <= 20_000
    assert not Path("out", STATE_NAME).exists()


def test_two_runs_do_not_share_into_one_folder(crops: Path) -> None:
    """The second one is refused as long as the first one lives, here until it is killed."""
    share = [sys.executable, "-m", "npp", "encode", "-o", "out", "--share", "--total", "24k", "--effort", "0"]
    os.mkfifo("late.png")
    with subprocess.Popen([*share, "in", "late.png"], stderr=subprocess.DEVNULL) as first:
        try:
            while state_lines("curve") < 16:
                assert first.poll() is None
                time.sleep(0.02)
            state = Path("out", STATE_NAME).read_bytes()
            second = subprocess.run([*share, "in", "--force"], capture_output=True, text=True, check=False)
            assert second.returncode == 2
            assert second.stderr == (
                "npp: another run shares into out; wait for it, or choose another --output\n"
            )
            assert files(crops / "out") == [STATE_NAME] and Path("out", STATE_NAME).read_bytes() == state
            subprocess.run([*share, "in", "-o", "other"], check=True, capture_output=True)
        finally:
            first.kill()  # or it would wait for ever
    subprocess.run([*share, "in"], check=True, capture_output=True)
    assert files(crops / "out") == files(crops / "other"), "and no lock is left"


def test_no_empty_state_stays(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path("in").iterdir():
        path.write_bytes(b"no picture")
    assert encode("in", "-o", "out", "--share", "--total", "24k") == 1
    assert "stays" not in capsys.readouterr().err
    assert files(crops / "out") == []


def test_onto_a_full_disk_then_onto_one_with_room(crops: Path) -> None:
    """Reported and there are the same files; with more space the same command ends as one run does."""
    share = [sys.executable, "-m", "npp", "encode", "in", "-o", "out", "--share", "--total", "24k"]
    share += ["--effort", "0", "--threads", "1", "--json", "-q"]
    subprocess.run([*share, "-o", "whole"], check=True, capture_output=True)
    Path("out").mkdir()
    for small in (12, 40, 72):  # KiB: no room for all curves, for half of the files, for most of them
        script = f"""
            import json, os, subprocess
            done = subprocess.run({share!r}, capture_output=True, text=True)
            print(done.returncode)
            reports = json.loads(done.stdout)["files"]
            told = {{one["output"]: one["bytes"] for one in reports if one["status"] == "written"}}
            there = {{f"out/{{name}}": os.path.getsize(f"out/{{name}}") for name in os.listdir("out")}}
            assert there.pop("out/{STATE_NAME}") > 0
            assert told == there, (told, there)
            failed = [one["error"] for one in reports if one["status"] == "failed"]
            assert failed and all("No space left on device: out/" in error for error in failed), failed
            subprocess.run(["mount", "-o", "remount,size=1m", "out"], check=True)
            print(subprocess.run({share!r}, capture_output=True, text=True).returncode)
            print(subprocess.run(["diff", "-r", "out", "whole"]).returncode)
        """
        done = run_mounted(f"mount -t tmpfs -o size={small}k none out", script, crops)
        assert done.stdout == "1\n0\n0\n", (small, done.stdout, done.stderr)


def test_an_earlier_file_of_what_failed_is_named(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared_report("--total", "24k", "--keep-state", capsys=capsys)
    Path("in/07.png").write_bytes(b"no picture")
    report = shared_report("--total", "18k", capsys=capsys, code=1)
    failed = report["files"][7]
    assert failed["error"].endswith("; out/07.bpg is still an earlier file")
    assert Path("out/07.bpg").exists() and "bytes" not in failed


@pytest.mark.parametrize(
    ("manifest", "state", "message"),
    [
        (f"out/{STATE_NAME}", None, f"--manifest out/{STATE_NAME} is where --share keeps its state"),
        (None, b"my notes", f"out/{STATE_NAME} is no state of npp encode --share; remove it"),
        (None, b'{"kinds": 1}', f"out/{STATE_NAME} is no state of npp encode --share; remove it"),
        (None, "folder", f"the state: out/{STATE_NAME} is a folder"),
    ],
)
def test_state_never_replaces_other_files(
    manifest: str | None,
    state: bytes | str | None,
    message: str,
    crops: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("out").mkdir()
    if isinstance(state, bytes):
        Path("out", STATE_NAME).write_bytes(state)
    elif state is not None:
        Path("out", STATE_NAME).mkdir()
    arguments = [] if manifest is None else ["--manifest", manifest]
    assert encode("in", "-o", "out", "--share", "--total", "20k", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files(crops / "out") == ([STATE_NAME] if isinstance(state, bytes) else [])
    if isinstance(state, bytes):
        assert Path("out", STATE_NAME).read_bytes() == state


def test_identity_changes_when_a_picture_is_rewritten(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    source = Input(picture, Path("a.png"))
    before = file_identity(source)
    assert file_identity(source) == before
    written = picture.stat().st_mtime_ns
    picture.write_bytes(b"two")
    os.utime(picture, ns=(written, written + 10**6))
    assert file_identity(source) != before, "of the same name and size"


def test_a_stopped_run_goes_on_with_its_manifest(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifest is there from the start, so that it must not stand in the way."""
    good = Path("in/05.png").read_bytes()
    Path("in/05.png").write_bytes(b"no picture")
    manifest = ["--manifest", "m.jsonl"]
    shared_report("--total", "24k", *manifest, capsys=capsys, code=1)
    assert Path("out", STATE_NAME).is_file() and Path("m.jsonl").is_file()
    Path("in/05.png").write_bytes(good)
    shared_report("--total", "24k", *manifest, capsys=capsys)
    assert run("verify", "m.jsonl") == 0
    assert {row.error for row in read_manifest("m.jsonl")} == {None}
    shutil.rmtree("out")
    capsys.readouterr()
    assert encode("in", "-o", "out", "--share", "--total", "24k", *manifest) == 2
    assert capsys.readouterr().err == "npp: m.jsonl exists; --force begins it anew\n"


def test_file_replaced_before_the_manifest_is_written_is_reported_as_failed(
    crops: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = SharedRun.encode

    def encode_and_lose_one(shared: SharedRun) -> None:
        encoded(shared)
        Path("out/05.bpg").write_bytes(b"no picture")

    monkeypatch.setattr(SharedRun, "encode", encode_and_lose_one)
    found = shared_report("--total", "24k", "--manifest", "m.jsonl", capsys=capsys, code=1)
    reports = {report["file"]: report for report in found["files"]}
    (row,) = (row for row in read_manifest("m.jsonl") if row.error is not None)
    assert row.input == "in/05.png" and reports["in/05.png"]["error"] == row.error
    assert [name for name, report in reports.items() if report["status"] == "failed"] == ["in/05.png"]
