"""npp encode --share: the total is met, a killed run goes on, and nothing foreign is replaced."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from command_line import encode, files, moving, run, save_moving
from isolated import run_mounted
from judge_files import MEAN_COLOUR, write_judge
from PIL import Image
from recipe_files import made_recipe, saved_recipe

import npp
from npp.batch.manifest import read_manifest
from npp.batch.named_judges import NamedJudge
from npp.cli.encode_request import parse_size
from npp.cli.exit_codes import UsageError
from npp.cli.input_files import Input
from npp.cli.output_files import Job
from npp.cli.share_job import SharedRun
from npp.cli.share_state import STATE_NAME, ShareState, file_identity

SIDE = 96


@pytest.fixture
def crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with in/00.png to in/15.png: pictures that differ in how much they cost."""
    photo = skimage.data.astronaut()
    (tmp_path / "in").mkdir()
    for i in range(16):
        y, x = 100 * (i // 4), 100 * (i % 4)
        Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(tmp_path / "in" / f"{i:02}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _shared(*arguments: object, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert encode("in", "-o", "out", "--share", *arguments, "--json", "-q") == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _size(folder: str = "out") -> int:
    return sum(path.stat().st_size for path in Path(folder).glob("*.bpg"))


def test_total_is_met_at_different_qps(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = _shared("--total", "24k", capsys=capsys)
    assert 0.99 * 24_000 <= _size() <= 24_000
    share = report["share"]
    assert (share["asked_bytes"], share["bytes"], share["pictures"]) == (24_000, _size(), 16)
    assert share["bpp"] == 8 * _size() / (16 * SIDE * SIDE)
    qps = [one["qp"] for one in report["files"]]
    assert len(set(qps)) > 2
    for one in report["files"]:
        file = Path(one["output"]).read_bytes()
        assert file == npp.encode(np.asarray(Image.open(one["file"])), one["qp"], effort=1)
        assert one["bytes"] == len(file)
    assert not Path("out", STATE_NAME).exists()
    # The same mean loss of the model at one qp for all takes more.
    even = min(qp for qp in range(52) if 2 ** (qp / 3) >= np.mean([2 ** (one / 3) for one in qps]))
    pictures = [np.asarray(Image.open(f"in/{i:02}.png")) for i in range(16)]
    assert sum(len(file) for file in npp.encode(pictures, even - 1, effort=1)) > _size()


def test_every_file_is_told_of_once(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("in", "-o", "out", "--share", "--total", "24k") == 0
    said = capsys.readouterr().err
    report = _shared("--total", "24k", "--force", capsys=capsys)
    assert report["share"]["encodes"] > 16  # some were encoded at more than one qp
    assert [said.count(f"in/{i:02}.png") for i in range(16)] == [1] * 16
    assert f"{_size()} of 24000 bytes" in said


def test_mean_bpp_counts_all_pixels(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(skimage.data.astronaut()[:300, :300]).save("in/large.png")
    report = _shared("--mean-bpp", 0.8, capsys=capsys)
    pixels = 16 * SIDE * SIDE + 300 * 300
    assert report["share"]["asked_bytes"] == int(0.8 * pixels / 8)
    assert 0.98 * 0.8 <= 8 * _size() / pixels <= 0.8


@pytest.mark.parametrize("sensitivity", ["none", "predicted"])
def test_with_a_recipe(sensitivity: str, crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = saved_recipe(crops)
    report = _shared("--total", "9k", "--for", recipe, "--sensitivity", sensitivity, capsys=capsys)
    assert 0.97 * 9_000 <= _size() <= 9_000
    for one in report["files"]:
        picture = np.asarray(Image.open(one["file"]))
        assert Path(one["output"]).read_bytes() == made_recipe().encode(picture, one["qp"])
        assert one["recipe"] == "test"
        assert one["coded_width"] == (SIDE // 2 if one["qp"] >= 30 else SIDE)
    if sensitivity == "predicted":
        plain = {one["file"]: one["qp"] for one in report["files"]}
        other = _shared("--total", "9k", "--for", recipe, "--sensitivity", "none", "--force", capsys=capsys)
        assert plain != {one["file"]: one["qp"] for one in other["files"]}, "it has had no say"
        asked_nothing = _shared("--total", "9k", "--for", recipe, "--force", capsys=capsys)
        assert plain == {one["file"]: one["qp"] for one in asked_nothing["files"]}, "it is not the default"


class _Prefers(torch.nn.Module):
    """A classifier whose answer moves with blue alone, and only where the picture is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = (x.mean(1, keepdim=True) - 0.5).relu()
        blue = (x[:, 2:] * bright).mean((2, 3))
        fine = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3), keepdim=True)[..., 0, 0]
        return torch.cat([300 * blue, 300 * fine * blue, torch.zeros_like(blue)], 1)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    sides = {2: torch.export.Dim("h", min=16), 3: torch.export.Dim("w", min=16)}
    exported = torch.export.export(_Prefers(), (torch.rand(1, 3, SIDE, SIDE),), dynamic_shapes=(sides,))
    torch.export.save(exported, tmp_path / "network.pt2")
    return tmp_path / "network.pt2"


def _judged_qps(report: dict[str, Any]) -> list[int]:
    return [one["qp"] for one in report["files"]]


def test_a_network_says_which_pictures_lose(
    network: Path, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own loss is less than without it, and what was sampled without it is not taken for its own."""
    pictures = [np.asarray(Image.open(f"in/{i:02}.png")) for i in range(16)]

    def lost(report: dict[str, Any]) -> float:
        losses = []
        for picture, one in zip(pictures, report["files"], strict=True):
            x = torch.tensor(picture).permute(2, 0, 1)[None] / 255
            shown = npp.decode(Path(one["output"]).read_bytes(), dtype=torch.float32)[None]
            losses.append(float(npp.keep_prediction(_Prefers(), x)(shown)))
        return float(np.mean(losses))

    alike = _shared("--total", "16k", "--keep-state", capsys=capsys)
    lost_alike, curves = lost(alike), _lines("curve")
    judged = _shared("--total", "16k", "--judge", network, "--keep-state", "--threads", 1, capsys=capsys)
    assert _lines("curve") == curves + 16
    assert 0.97 * 16_000 <= _size() <= 16_000
    assert lost(judged) < 0.8 * lost_alike
    again = _shared("--total", "16k", "--judge", network, "--force", "--threads", 3, capsys=capsys)
    assert _judged_qps(again) == _judged_qps(judged) != _judged_qps(alike)


def test_a_task_of_a_yaml_file_says_it_too(
    network: Path, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a recipe as well: gray and animations included, each looked at as any decoder shows it."""
    write_judge("share_judge", MEAN_COLOUR)
    Image.open("in/03.png").convert("L").save("in/16.png")
    recipe = saved_recipe(crops)
    report = _shared("--total", "9k", "--for", recipe, "--judge", "share_judge.yaml", capsys=capsys)
    assert len(report["files"]) == 17 and 0.95 * 9_000 <= _size() <= 9_000
    none = _shared("--total", "9k", "--for", recipe, "--sensitivity", "none", "--force", capsys=capsys)
    assert _judged_qps(report) != _judged_qps(none)
    shutil.rmtree("out")
    save_moving("in/17.gif", moving(np.asarray(Image.open("in/00.png"))), duration=40)
    moved = _shared("--total", "20k", "--judge", "share_judge.yaml", capsys=capsys)
    assert moved["files"][17]["frames"] > 1 and _size() <= 20_000


_LAYERS = "self.b(self.a(x).relu()).mean((2, 3))"


@pytest.fixture
def _fresh_judges() -> Iterator[None]:
    """Modules of the same name in the folders of several tests."""
    yield
    sys.modules.pop("own_judge", None)


@pytest.mark.usefixtures("_fresh_judges")
def test_a_judge_that_looks_inside_is_asked_by_one_thread_at_a_time(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_judge("own_judge", _LAYERS, "'match'", settings=", layers=['a', 'b']")
    found = [
        _judged_qps(
            _shared(
                "--total", "16k", "--judge", "own_judge.yaml", "--force", "--threads", threads, capsys=capsys
            )
        )
        for threads in (1, 4, 4)
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures("_fresh_judges")
def test_curves_of_a_judge_that_has_changed_are_not_believed(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind the same name other weights, and another module: every run is a process of its own."""

    def lines() -> int:
        command = [sys.executable, "-m", "npp", "encode", "in", "-o", "out", "--share", "--total", "16k"]
        command += ["--judge", "own_judge.yaml", "--keep-state", "-q", "--effort", "0"]
        subprocess.run(command, check=True)
        return _lines("curve")

    write_judge("own_judge", _LAYERS)
    assert [lines(), lines()] == [16, 16]
    write_judge("own_judge", _LAYERS, std=2)
    assert lines() == 32
    write_judge("own_judge", _LAYERS.replace("relu", "tanh"), std=2)
    assert lines() == 48


@pytest.mark.usefixtures("_fresh_judges")
def test_a_judge_that_loses_nothing_leaves_it_to_the_sizes(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_judge("own_judge", "x.new_zeros(len(x), 3) + 1e-9 * x.mean()")
    judged = _shared("--total", "16k", "--judge", "own_judge.yaml", capsys=capsys)
    assert judged["share"]["by"] == str(crops / "own_judge.yaml")
    alike = _shared("--total", "16k", "--force", capsys=capsys)
    assert alike["share"]["by"] == "sizes"
    assert _judged_qps(judged) == _judged_qps(alike)


@pytest.mark.usefixtures("_fresh_judges")
def test_a_judge_that_cannot_look_is_named(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_judge("own_judge", "x.mean((1, 2, 3))")
    report = _shared("--total", "16k", "--judge", "own_judge.yaml", capsys=capsys, code=1)
    for one in report["files"]:
        assert f"the judge {crops / 'own_judge.yaml'} cannot look at this picture: " in one["error"]


@pytest.mark.usefixtures("_fresh_judges")
def test_of_an_animation_one_frame_is_looked_at(crops: Path) -> None:
    """Each picture is looked at four times, as it is and as its three quick files show it; noise once."""
    write_judge("own_judge", f"setattr(Body, 'looks', getattr(Body, 'looks', 0) + len(x)) or {_LAYERS}")
    pictures = len(list(Path("in").iterdir())) + 1
    save_moving("in/16.gif", moving(np.asarray(Image.open("in/00.png"))), duration=40)
    assert encode("in", "-o", "out", "--share", "--total", "24k", "--judge", "own_judge.yaml") == 0
    assert npp.probe(Path("out/16.bpg").read_bytes()).frames == 4
    assert sys.modules["own_judge"].Body.looks == 4 * pictures + 1


def test_a_judge_s_files_are_found_from_another_folder(crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sub").mkdir()
    for name in ("net.onnx", "net.pt2", "task.yaml"):
        Path("sub", name).write_bytes(b"")
    for spec, wanted in (
        ("sub/net.pt2", f"{crops}/sub/net.pt2"),
        ("sub/task.yaml", f"{crops}/sub/task.yaml"),
        ("onnx:sub/net.onnx", f"onnx:{crops}/sub/net.onnx"),
        ("torchvision:resnet18:sub/net.pt2", f"torchvision:resnet18:{crops}/sub/net.pt2"),
        ("torchvision:resnet18", "torchvision:resnet18"),
        ("efficientnet-lite0", "efficientnet-lite0"),
    ):
        assert NamedJudge.of(spec).spec == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "in/00.png"], "--judge needs --share"),
        (["--share", "--total", "9k", "--judge", "in/00.png"], "in/00.png is not a file of torch.export"),
        (["--share", "--total", "9k", "--judge", "nothing"], "--judge nothing: "),
        (["--share", "--total", "9k", "--judge", "missing.yaml"], "--judge missing.yaml: "),
        (["--share", "--total", "9k", "--judge", "missing.pt2"], "there is no file missing.pt2"),
        (["--share", "--total", "9k", "--judge", "bare.yaml"], "it has no name, or no text there"),
        (["--share", "--total", "9k", "--judge", "five.yaml"], "it has no name, or no text there"),
        (["--share", "--total", "9k", "--judge", "broken.yaml"], "RuntimeError: not today"),
        (
            ["--share", "--total", "9k", "--judge", "nothing", "--sensitivity", "none"],
            "--judge and --sensitivity exclude each other",
        ),
    ],
)
def test_a_wrong_judge_is_named(
    arguments: list[str], message: str, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bare.yaml").write_text("model: efficientnet-lite0\n")
    Path("five.yaml").write_text("name: 5\n")
    Path("broken.yaml").write_text("name: python:broken_judge:task\n")
    Path("broken_judge.py").write_text("raise RuntimeError('not today')\n")
    assert encode("in", "-o", "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_result_does_not_depend_on_threads(crops: Path) -> None:
    for threads in (1, 5):
        arguments = ("-o", f"by{threads}", "--share", "--total", "20k", "--threads", threads)
        assert encode("in", *arguments) == 0
    assert len(files(crops / "by1")) == 16
    for name in files(crops / "by1"):
        assert Path("by1", name).read_bytes() == Path("by5", name).read_bytes()


def _lines(kind: str) -> int:
    state = Path("out", STATE_NAME)
    return state.read_text().count(f'"kind": "{kind}"') if state.exists() else 0


def _kill_when(kind: str, count: int, arguments: list[str]) -> None:
    """Runs the command in a process of its own and kills it once its state has so many lines."""
    command = [sys.executable, "-m", "npp", "encode", "in", "-o", "out", *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and _lines(kind) < count:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_goes_on(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--share", "--total", "20k", "--threads", "1", "--effort", "9"]
    assert run("encode", "in", "-o", "whole", *arguments, "-q", "--json") == 0
    whole = json.loads(capsys.readouterr().out)["share"]["encodes"]
    _kill_when("curve", 5, arguments)
    assert 5 <= _lines("curve") < 16
    _kill_when("file", 18, arguments)
    assert _lines("curve") == 16, "what the first run had sampled was not sampled again"
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.bpg")}
    with Path("out", STATE_NAME).open("a") as state:
        state.write('{"kind": "file", "key"')  # a line that the kill has cut off
    capsys.readouterr()
    assert run("encode", "in", "-o", "out", *arguments, "--json") == 0
    out = capsys.readouterr().out
    share = json.loads(out)["share"]
    assert share["bytes"] == _size("whole")
    assert share["encodes"] < whole - 8, "what had been encoded was encoded again"
    assert files(crops / "out") == files(crops / "whole"), "no state and no temporary file stays"
    for name in files(crops / "whole"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    untouched = [path for path, at in before.items() if path.stat().st_mtime_ns == at]
    assert untouched, "files that are as they will be stay where they are"
    assert all("psnr" in one for one in json.loads(out)["files"])


def test_kept_state_serves_another_total(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _shared("--total", "24k", "--keep-state", capsys=capsys)
    curves = _lines("curve")
    assert curves == 16
    _shared("--total", "18k", "--keep-state", capsys=capsys)  # its own files are replaced without --force
    assert _lines("curve") == curves
    assert 0.99 * 18_000 <= _size() <= 18_000
    other = skimage.data.astronaut()[:SIDE, 400:496]
    earlier = np.asarray(Image.open("in/03.png")).astype(int)
    Image.fromarray(other).save("in/03.png")
    os.utime("in/03.png", ns=(1, 1))
    _shared("--total", "18k", "--keep-state", "--tune", "machine", capsys=capsys)
    assert _lines("curve") == curves + 16, "another tune has other curves"
    _shared("--total", "18k", capsys=capsys)
    assert _size() <= 18_000
    changed = Path("out/03.bpg").read_bytes()
    shown = npp.decode(changed).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(shown - other).mean() < 10 < np.abs(shown - earlier).mean(), "the picture that is there now"
    assert any(changed == npp.encode(other, qp, effort=1) for qp in range(52))


@pytest.mark.parametrize("way", ["absolute", "another folder", "a link"])
def test_the_run_is_known_by_whatever_path(
    way: str, crops: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _shared("--total", "24k", "--keep-state", capsys=capsys)
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
    report = _shared("--total", "20k", capsys=capsys, code=1)
    assert Path("out/02.bpg").read_bytes() == b"mine"
    status = {Path(one["file"]).stem: one["status"] for one in report["files"]}
    assert {name for name, one in status.items() if one == "failed"} == {"02", "07"}
    assert report["files"][2]["error"] == "out/02.bpg exists; --force replaces it"
    written = _size() - 4
    assert 0.98 * 20_000 <= written <= 20_000
    assert report["share"]["bytes"] == written
    report = _shared("--total", "20k", "--force", capsys=capsys, code=1)
    assert report["share"]["pictures"] == 15
    assert 0.98 * 20_000 <= _size() <= 20_000


def test_a_result_that_was_changed_since_is_not_replaced(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name alone does not make it ours: what is in it must be what such a run has written."""
    _shared("--total", "24k", "--keep-state", capsys=capsys)
    made = {path.name: path.read_bytes() for path in Path("out").glob("*.bpg")}
    Path("out/02.bpg").write_bytes(made["02.bpg"] + b"mine")
    Path("out/05.bpg").write_bytes(made["04.bpg"])
    report = _shared("--total", "18k", "--keep-state", capsys=capsys, code=1)
    status = {Path(one["file"]).stem: one["status"] for one in report["files"]}
    assert {name for name, one in status.items() if one == "failed"} == {"02", "05"}
    assert report["files"][2]["error"] == "out/02.bpg exists; --force replaces it"
    assert Path("out/02.bpg").read_bytes() == made["02.bpg"] + b"mine"
    assert Path("out/05.bpg").read_bytes() == made["04.bpg"]
    Path("out/02.bpg").write_bytes(made["02.bpg"])
    Path("out/05.bpg").unlink()
    assert {one["status"] for one in _shared("--total", "18k", capsys=capsys)["files"]} == {"written"}


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


def test_what_failed_is_done_by_the_same_command(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path("in/07.png").read_bytes()
    Path("in/07.png").write_bytes(b"no picture")
    _shared("--total", "20k", capsys=capsys, code=1)
    assert Path("out", STATE_NAME).exists()
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.bpg")}
    assert encode("in", "-o", "out", "--share", "--total", "20k") == 1
    assert f"npp: out/{STATE_NAME} stays: the same command goes on from it" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in Path("out").glob("*.bpg")} == before
    Path("in/07.png").write_bytes(whole)
    report = _shared("--total", "20k", capsys=capsys)
    assert report["share"]["pictures"] == 16
    assert 0.98 * 20_000 <= _size() <= 20_000
    assert not Path("out", STATE_NAME).exists()


def test_two_runs_do_not_share_into_one_folder(crops: Path) -> None:
    """The second one is refused as long as the first one lives, here until it is killed."""
    share = [sys.executable, "-m", "npp", "encode", "-o", "out", "--share", "--total", "24k", "--effort", "0"]
    os.mkfifo("late.png")
    with subprocess.Popen([*share, "in", "late.png"], stderr=subprocess.DEVNULL) as first:
        try:
            while _lines("curve") < 16:
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
    _shared("--total", "24k", "--keep-state", capsys=capsys)
    Path("in/07.png").write_bytes(b"no picture")
    report = _shared("--total", "18k", capsys=capsys, code=1)
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
def test_the_state_replaces_nothing_else(
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


def test_a_total_that_is_too_large_is_told_of(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("in", "-o", "out", "--share", "--total", "10M") == 0
    said = capsys.readouterr().err
    assert f"{_size()} of 10000000 bytes" in said
    assert "npp: the total is not used up: every file is at qp 0" in said
    assert encode("in", "-o", "less", "--share", "--total", "24k") == 0
    assert "not used up" not in capsys.readouterr().err


def test_totals_that_cannot_be_met(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("in", "-o", "out", "--share", "--total", 500) == 1
    assert "500 bytes in all are too few: by quick files qp 51 takes about" in capsys.readouterr().err
    assert files(crops / "out") == [STATE_NAME], "nothing is encoded, and the curves serve another try"
    least = sum(len(npp.encode(np.asarray(Image.open(f"in/{i:02}.png")), 51, effort=1)) for i in range(16))
    report = _shared("--total", least - 20, capsys=capsys, code=1)
    assert report["share"]["bytes"] == least, "as near as there is, and said"


def test_a_total_far_below_the_files_of_qp_51_is_refused_by_the_first_of_them(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it stays but what was found out, for the same command and for a total that can be met."""
    least = sum(len(npp.encode(np.asarray(Image.open(f"in/{i:02}.png")), 51, effort=1)) for i in range(16))
    Path("in/16.png").write_bytes(b"no picture")
    for _ in range(2):
        report = _shared("--total", int(0.6 * least), capsys=capsys, code=1)
        assert files(crops / "out") == [STATE_NAME]
        assert _lines("file") == 8, "half of the pictures were not encoded, and the others once"
        assert not report["share"]
        errors = {one["error"] for one in report["files"][:16]}
        (error,) = errors
        assert error.startswith(
            f"{int(0.6 * least)} bytes in all are too few: by the first files qp 51 takes "
        )
        assert 0.9 * least < int(error.split()[-1]) < 1.1 * least
        assert "too few" not in report["files"][16]["error"]
    Path("in/16.png").unlink()
    assert _shared("--total", int(1.05 * least), capsys=capsys)["share"]["bytes"] <= 1.05 * least


def test_a_total_that_is_refused_leaves_earlier_files(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    least = sum(len(npp.encode(np.asarray(Image.open(f"in/{i:02}.png")), 51, effort=1)) for i in range(16))
    _shared("--total", 3 * least, "--keep-state", capsys=capsys)
    before = {path.name: path.read_bytes() for path in (crops / "out").glob("*.bpg")}
    assert len(before) == 16
    report = _shared("--total", int(0.6 * least), "--keep-state", capsys=capsys, code=1)
    assert "by the first files" in report["files"][0]["error"]
    assert {path.name: path.read_bytes() for path in (crops / "out").glob("*.bpg")} == before


def test_a_total_that_the_curves_think_too_small_is_tried(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Continued from qp 44 the curves of quick files say far more of qp 51 than slower encodes take."""
    assert run("encode", "in", "-o", "least", "--qp", 51, "-q") == 0
    total = int(_size("least") * 1.03)
    assert run("encode", "in", "-o", "out", "--share", "--total", total, "-q") == 0
    assert _size("least") <= _size() <= total


def test_animations_take_part(crops: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    save_moving("in/moving.webp", moving(photo), duration=40, lossless=True)
    report = _shared("--mean-bpp", 0.9, capsys=capsys)
    pixels = 16 * SIDE * SIDE + 4 * 64 * 64
    assert report["share"]["asked_bytes"] == int(0.9 * pixels / 8)
    assert report["files"][-1]["frames"] == 4
    assert 0.98 * 0.9 <= report["share"]["bpp"] <= 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share"], "--share needs one of --total and --mean-bpp"),
        (["--share", "--total", "1k", "--mean-bpp", "1"], "--share needs one of --total and --mean-bpp"),
        (["--total", "1k"], "--total needs --share"),
        (["--mean-bpp", "1"], "--mean-bpp needs --share"),
        (["--keep-state"], "--keep-state needs --share"),
        (["--sensitivity", "none"], "--sensitivity needs --share"),
        (["--share", "--total", "1x"], "--total must be bytes as 500000, 500k, 12M or 12Mi, not '1x'"),
        (["--share", "--mean-bpp", "0"], "--mean-bpp must be above 0"),
        (["--share", "--total", "1k", "--qp", "30"], "--share and --qp exclude each other"),
        (["--share", "--total", "1k", "--lossless"], "--share and --lossless exclude each other"),
        (["--share", "--total", "1k", "--target-bpp", "1"], "--share and --target-bpp exclude each other"),
        (["--share", "--total", "1k", "--skip-existing"], "a stopped run goes on by itself"),
        (["--share", "--total", "1k", "--sensitivity", "predicted"], "needs --for with a recipe that has"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(crops)
    assert run("encode", "in", "-o", "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert files(crops) == before


def test_one_file_needs_a_folder(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "in/00.png", "-o", "a.bpg", "--share", "--total", "1k") == 2
    assert "--share writes into a folder, not to a.bpg" in capsys.readouterr().err
    assert encode("in/00.png", "-o", "out/", "--share", "--total", "1k") == 0
    assert 850 <= _size() <= 1000


def test_a_picture_that_was_written_anew_is_another_one(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    source = Input(picture, Path("a.png"))
    before = file_identity(source)
    assert file_identity(source) == before
    written = picture.stat().st_mtime_ns
    picture.write_bytes(b"two")
    os.utime(picture, ns=(written, written + 10**6))
    assert file_identity(source) != before, "of the same name and size"


def test_sizes() -> None:
    sizes = {"500000": 500_000, "500k": 500_000, "12M": 12_000_000, "1.5Mi": 1_572_864, "2 GB": 2 * 10**9}
    assert {text: parse_size(text) for text in sizes} == sizes
    for text in ("", "k", "-3", "1e6", "0", "12T", "9" * 400):
        with pytest.raises(UsageError, match="--total must be bytes"):
            parse_size(text)


def test_a_stopped_run_goes_on_with_its_manifest(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifest is there from the start, so that it must not stand in the way."""
    good = Path("in/05.png").read_bytes()
    Path("in/05.png").write_bytes(b"no picture")
    manifest = ["--manifest", "m.jsonl"]
    _shared("--total", "24k", *manifest, capsys=capsys, code=1)
    assert Path("out", STATE_NAME).is_file() and Path("m.jsonl").is_file()
    Path("in/05.png").write_bytes(good)
    _shared("--total", "24k", *manifest, capsys=capsys)
    assert run("verify", "m.jsonl") == 0
    assert {row.error for row in read_manifest("m.jsonl")} == {None}
    shutil.rmtree("out")
    capsys.readouterr()
    assert encode("in", "-o", "out", "--share", "--total", "24k", *manifest) == 2
    assert capsys.readouterr().err == "npp: m.jsonl exists; --force begins it anew\n"


def test_a_file_that_somebody_replaced_before_the_manifest_is_a_failure_in_the_report(
    crops: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = SharedRun.encode

    def encode_and_lose_one(shared: SharedRun) -> None:
        encoded(shared)
        Path("out/05.bpg").write_bytes(b"no picture")

    monkeypatch.setattr(SharedRun, "encode", encode_and_lose_one)
    found = _shared("--total", "24k", "--manifest", "m.jsonl", capsys=capsys, code=1)
    reports = {report["file"]: report for report in found["files"]}
    (row,) = (row for row in read_manifest("m.jsonl") if row.error is not None)
    assert row.input == "in/05.png" and reports["in/05.png"]["error"] == row.error
    assert [name for name, report in reports.items() if report["status"] == "failed"] == ["in/05.png"]
