"""npp encode --share --judge: a network says which pictures lose more than others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import encode, moving, save_moving
from judge_files import MEAN_COLOUR, write_judge
from PIL import Image
from recipe_files import saved_recipe
from shared_runs import SIDE, results_size, shared_report, state_lines

import npp
from npp.batch.named_judges import NamedJudge


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

    alike = shared_report("--total", "16k", "--keep-state", capsys=capsys)
    lost_alike, curves = lost(alike), state_lines("curve")
    judged = shared_report(
        "--total", "16k", "--judge", network, "--keep-state", "--threads", 1, capsys=capsys
    )
    assert state_lines("curve") == curves + 16
    assert 0.97 * 16_000 <= results_size() <= 16_000
    assert lost(judged) < 0.8 * lost_alike
    again = shared_report("--total", "16k", "--judge", network, "--force", "--threads", 3, capsys=capsys)
    assert _judged_qps(again) == _judged_qps(judged) != _judged_qps(alike)


def test_task_in_a_yaml_file_judges_gray_pictures_and_animations(
    network: Path, crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a recipe as well: gray and animations included, each looked at as any decoder shows it."""
    write_judge("share_judge", MEAN_COLOUR)
    Image.open("in/03.png").convert("L").save("in/16.png")
    recipe = saved_recipe(crops)
    report = shared_report("--total", "9k", "--for", recipe, "--judge", "share_judge.yaml", capsys=capsys)
    assert len(report["files"]) == 17 and 0.95 * 9_000 <= results_size() <= 9_000
    none = shared_report("--total", "9k", "--for", recipe, "--sensitivity", "none", "--force", capsys=capsys)
    assert _judged_qps(report) != _judged_qps(none)
    shutil.rmtree("out")
    save_moving("in/17.gif", moving(np.asarray(Image.open("in/00.png"))), duration=40)
    moved = shared_report("--total", "20k", "--judge", "share_judge.yaml", capsys=capsys)
    assert moved["files"][17]["frames"] > 1 and results_size() <= 20_000


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
            shared_report(
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
        return state_lines("curve")

    write_judge("own_judge", _LAYERS)
    assert [lines(), lines()] == [16, 16]
    write_judge("own_judge", _LAYERS, std=2)
    assert lines() == 32
    write_judge("own_judge", _LAYERS.replace("relu", "tanh"), std=2)
    assert lines() == 48


@pytest.mark.usefixtures("_fresh_judges")
def test_judge_without_losses_gives_the_qps_of_sizes_alone(
    crops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_judge("own_judge", "x.new_zeros(len(x), 3) + 1e-9 * x.mean()")
    judged = shared_report("--total", "16k", "--judge", "own_judge.yaml", capsys=capsys)
    assert judged["share"]["by"] == str(crops / "own_judge.yaml")
    alike = shared_report("--total", "16k", "--force", capsys=capsys)
    assert alike["share"]["by"] == "sizes"
    assert _judged_qps(judged) == _judged_qps(alike)


@pytest.mark.usefixtures("_fresh_judges")
def test_a_judge_that_cannot_look_is_named(crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_judge("own_judge", "x.mean((1, 2, 3))")
    report = shared_report("--total", "16k", "--judge", "own_judge.yaml", capsys=capsys, code=1)
    for one in report["files"]:
        assert f"the judge {crops / 'own_judge.yaml'} cannot look at this picture: " in one["error"]


@pytest.mark.usefixtures("_fresh_judges")
def test_judge_sees_one_frame_of_an_animation(crops: Path) -> None:
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
