"""npp evaluate: constructed curves with known answers, and whole runs on tiny networks and photos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

import npp.cli
from npp.config.yaml_files import ConfigError, read_config
from npp.evaluation import resample_bd_rate
from npp.evaluation.analysis import Analyst
from npp.evaluation.arms import Arm, BlurByQp
from npp.evaluation.choosing import best_sigmas, curve_qps, rate_offset
from npp.evaluation.evaluate_config import DEFAULT_QPS, Analysis, parse_config
from npp.evaluation.evaluation_run import evaluate
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import ArmMeasurements, Measurements, PartStore
from npp.evaluation.measuring import silent
from npp.tasks import Task

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
QPS = (28, 31, 34, 38, 42)
KL = Axis("net", "kl", higher_is_better=False, primary=True)


def tiny_network() -> nn.Module:
    """Untrained and small; its outputs depend on edges."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first, last = nn.Conv2d(3, 8, 5, stride=3), nn.Linear(8, 6)
        nn.init.normal_(last.weight, std=20)
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


class Brightness(Task):
    """Mean of a picture; its metric is of all pictures together and no mean of its scores."""

    name = "brightness"
    higher_is_better: Mapping[str, bool] = MappingProxyType({"error": False, "correlation": True})

    def __init__(self) -> None:
        super().__init__(nn.Identity())

    def targets(self, images: Tensor) -> list[Any]:
        return [{"mean": image.mean()} for image in images]

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        return (images.mean((1, 2, 3)) - torch.stack([one["mean"] for one in targets])).abs()

    def predict(self, images: Tensor) -> list[Any]:
        return self.targets(images)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"error": self.loss(images, targets)}

    def metric(self) -> Any:
        class Correlation:
            def __init__(self) -> None:
                self.pairs: list[tuple[float, float]] = []

            def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
                pairs = zip(predictions, targets, strict=True)
                self.pairs += [(float(one["mean"]), float(other["mean"])) for one, other in pairs]

            def compute(self) -> dict[str, float]:
                return {"correlation": float(np.corrcoef(np.array(self.pairs).T)[0, 1])}

        return Correlation()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders "test" (6 photos, one of another size) and "selection" (4)."""
    folder = tmp_path_factory.mktemp("photos")
    source = skimage.data.astronaut()
    for i in range(10):
        side = 56 if i == 5 else 48
        top, left = 30 * i, 24 * i + 60
        part = folder / ("test" if i < 6 else "selection")
        part.mkdir(exist_ok=True)
        Image.fromarray(source[top : top + 48, left : left + side]).save(part / f"{i}.png")
    return folder


def values(photos: Path, **changes: Any) -> dict[str, Any]:
    """A small configuration."""
    return {
        "data": {"folder": str(photos / "test"), "mode": "full", "part": "all"},
        "selection": {"folder": str(photos / "selection"), "part": "all"},
        "qps": list(QPS),
        "seen": [{"name": "classification", "model": "python:test_evaluation:tiny_network", "label": "tiny"}],
        "unseen": [{"name": "python:test_evaluation:Brightness", "label": "bright"}],
        "arms": [{"name": "bpg", "effort": 0}, {"name": "machine", "effort": 0, "tune": "machine"}],
        "analysis": {"samples": 20},
        "batch": 8,
        "threads": 1,
        **changes,
    }


def measurements(**arms: tuple[np.ndarray, np.ndarray]) -> Measurements:
    """From (points, pictures) arrays of bpp and KL."""
    found = {
        name: ArmMeasurements(np.ones(bpp.shape, np.int64), bpp, {("net", "kl"): kl}, {})
        for name, (bpp, kl) in arms.items()
    }
    pictures = next(iter(arms.values()))[0].shape[1]
    return Measurements(QPS, tuple(str(i) for i in range(pictures)), (KL,), found)


def curve(pictures: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """bpp falls and KL rises with the qp, both noisy over pictures."""
    generator = np.random.default_rng(seed)
    bpp = np.exp(-0.11 * (np.array(QPS)[:, None] - 28)) * generator.lognormal(0, 0.3, pictures)
    kl = 0.02 * np.exp(0.15 * (np.array(QPS)[:, None] - 28)) * generator.lognormal(0, 0.3, (5, pictures))
    return bpp, kl


def findings(measured: Measurements, **settings: Any) -> Any:
    analysis = Analysis(**{**_ANALYSIS, **settings})
    return Analyst(measured, analysis, "a").findings(silent)


_ANALYSIS: dict[str, Any] = {
    "against": (),
    "differences": (),
    "groups": {},
    "samples": 100,
    "confidence": 0.95,
    "seed": 0,
}


def test_identical_arms_differ_by_exactly_nothing() -> None:
    bpp, kl = curve()
    found = findings(measurements(a=(bpp, kl), b=(bpp.copy(), kl.copy()))).find("b", "a", KL)
    assert found.interval.value == found.interval.low == found.interval.high == 0
    assert found.overlap == 1 and not found.interval.excludes_zero


def test_a_fifth_fewer_bytes_is_minus_twenty_percent() -> None:
    bpp, kl = curve()
    found = findings(measurements(a=(bpp, kl), b=(0.8 * bpp, kl)), against=("b",))
    saved, spent = found.find("b", "a", KL).interval, found.find("a", "b", KL).interval
    assert saved.value == pytest.approx(-20) and saved.low == pytest.approx(-20) and saved.excludes_zero
    assert spent.value == pytest.approx(25)


def test_differences_are_paired_over_pictures() -> None:
    anchor, one, other = curve(seed=0), curve(seed=1), curve(seed=1)
    measured = measurements(a=anchor, b=(0.9 * one[0], one[1]), c=other)
    found = findings(measured, differences=(("b", "c"), ("b", "a")))
    paired, plain = found.differences
    single = found.find("b", "a", KL).interval
    assert plain.interval == single
    assert paired.interval.high < 0 and paired.interval.excludes_zero
    assert paired.interval.high - paired.interval.low < (single.high - single.low) / 3
    assert paired.interval.value == pytest.approx(single.value - found.find("c", "a", KL).interval.value)


def test_resampled_rates_need_the_same_resamplings_to_be_subtracted() -> None:
    bpp, kl = curve()
    few, many = (resample_bd_rate(bpp, -kl, bpp, -kl, samples=samples) for samples in (5, 6))
    with pytest.raises(ValueError, match="same resamplings, not 5 and 6"):
        few.minus(many)


def test_spread_over_seeds() -> None:
    bpp, kl = curve()
    arms = {"a": (bpp, kl), **{f"s{i}": ((0.8 + 0.02 * i) * bpp, kl) for i in range(3)}}
    (spread,) = findings(measurements(**arms), groups={"seeds": ("s0", "s1", "s2")}).spreads
    assert spread.values == pytest.approx((-20, -18, -16))
    assert spread.mean == pytest.approx(-18) and spread.deviation == pytest.approx(2)


def test_curves_without_overlap_are_said_and_do_not_stop_the_others() -> None:
    bpp, kl = curve()
    measured = measurements(a=(bpp, kl), b=(bpp, 1000 * kl), c=(bpp, kl))
    found = findings(measured, differences=(("b", "c"),), groups={"g": ("b", "c")})
    assert found.find("b", "a", KL).interval is None and found.find("b", "a", KL).overlap == 0
    assert "do not overlap" in found.find("b", "a", KL).problem
    assert found.differences[0].interval is None and found.spreads == ()
    assert found.find("c", "a", KL).interval.value == 0


def test_rate_offset_is_the_distance_to_the_curve() -> None:
    rates, heights = np.array([0.2, 0.4, 0.8]), np.array([1.0, 2.0, 3.0])
    assert rate_offset(rates, heights, 0.4, 2.0) == pytest.approx(0)
    assert rate_offset(rates, heights, 0.2, 2.0) == pytest.approx(np.log10(0.5))
    assert rate_offset(rates, heights, 0.4, 3.5) == float("inf")


def _blur_measurements(*arms: tuple[str, float, float]) -> tuple[Measurements, Measurements]:
    """A plain curve, and arms with factors on its bpp and KL."""
    wide = np.array(curve_qps(QPS))
    bpp, kl = np.exp(-0.11 * (wide - 28))[:, None], (0.02 * np.exp(0.15 * (wide - 28)))[:, None]
    plain = ArmMeasurements(np.ones(bpp.shape, np.int64), bpp, {("net", "kl"): kl}, {})
    blurred = measurements(**{name: (a * bpp[1:-1], b * kl[1:-1]) for name, a, b in arms})
    return Measurements(tuple(wide), ("0",), (KL,), {"plain": plain}), blurred


def test_blur_search_takes_the_sigma_that_saves_most_and_none_where_all_hurt() -> None:
    sigmas = {"x": 0.4, "y": 0.7}
    useful = _blur_measurements(("x", 0.8, 1.0), ("y", 0.7, 1.02))
    assert best_sigmas(*useful, "plain", sigmas, KL) == dict.fromkeys(QPS, 0.7)
    harmful = _blur_measurements(("x", 0.95, 1.4), ("y", 0.9, 2.0))
    assert best_sigmas(*harmful, "plain", sigmas, KL) == dict.fromkeys(QPS, 0.0)
    outside = _blur_measurements(("x", 0.5, 100.0), ("y", 1.0, 1.0))
    assert best_sigmas(*outside, "plain", sigmas, KL) == dict.fromkeys(QPS, 0.0)


def test_blur_keeps_flat_pictures_and_smooths_others() -> None:
    images = torch.rand(2, 3, 40, 32)
    blur = BlurByQp({30: 0.0, 34: 1.0})
    assert blur.identity(30) is None and blur.identity(34) == {"blur": 1.0}
    assert blur(images, 30, list, {}) is images
    assert torch.allclose(blur(torch.full_like(images, 0.3), 34, list, {}), torch.tensor(0.3), atol=1e-6)
    assert blur(images, 34, list, {}).std() < 0.5 * images.std()


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run through the command line, with every kind of arm."""
    out = tmp_path_factory.mktemp("finished")
    weights = out / "learned.safetensors"
    npp.Preprocessor("blur", sigmas={34: 0.6}).save(weights)
    arms = [
        {"name": "bpg", "effort": 0},
        {"name": "same", "codec_of": "bpg"},
        {"name": "machine", "effort": 0, "tune": "machine"},
        {"name": "blur", "codec_of": "best", "prefilter": {"blur": "best"}},
        {"name": "fixed", "effort": 0, "prefilter": {"blur": dict.fromkeys(QPS, 0.6)}},
        {"name": "learned", "effort": 0, "prefilter": {"preprocessor": str(weights)}},
        {"name": "refined", "effort": 0, "prefilter": {"refine": {"steps": 1}}},
    ]
    config = values(
        photos,
        arms=arms,
        blur_sigmas=[0, 0.5],
        analysis={
            "samples": 20,
            "against": ["machine"],
            "differences": [["learned", "blur"]],
            "groups": {"seeds": ["fixed", "learned"]},
        },
    )
    path = out / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    command = ["evaluate", str(path), "--out", str(out / "run"), "--limit", "4", "--set", "strip.photos=2"]
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main([*command, "--set", f"qps={list(QPS)}"])
    assert stopped.value.code == 0
    return out / "run"


def _summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


def test_results_have_the_shape_that_compressai_reads(finished: Path) -> None:
    results = json.loads((finished / "results" / "machine.json").read_text())
    assert set(results) == {"name", "description", "results"} and results["name"] == "machine"
    assert "tune machine" in results["description"]
    lists = results["results"]
    assert set(lists) >= {"bpp", "psnr", "tiny/kl", "tiny/agreement", "bright/error", "bright/correlation"}
    assert all(len(one) == len(QPS) for one in lists.values())
    assert lists["bpp"] == sorted(lists["bpp"], reverse=True)
    assert all(10 < psnr < 60 for psnr in lists["psnr"])


def test_real_files_are_counted(finished: Path, photos: Path) -> None:
    arrays = np.load(finished / "measurements.npz")
    for i, name in enumerate(arrays["pictures"]):
        with Image.open(photos / "test" / name) as image:
            size = len(npp.encode(image, QPS[0], effort=0))
            assert arrays["bpg/bytes"][0, i] == size
            assert arrays["bpg/bpp"][0, i] == 8 * size / (image.width * image.height)


def test_arms_that_are_the_same_measure_the_same(finished: Path) -> None:
    rows = _summary(finished)["comparisons"]
    same = [
        row for row in rows if row["arm"] == "same" and row["against"] == "bpg" and row["bd_rate"] is not None
    ]
    assert same and all(row["bd_rate"] == row["overlap"] - 1 == 0 for row in same)
    arrays = np.load(finished / "measurements.npz")
    assert np.array_equal(arrays["fixed/bytes"], arrays["learned/bytes"])
    assert not np.array_equal(arrays["fixed/bytes"], arrays["bpg/bytes"])
    assert not np.array_equal(arrays["refined/tiny/kl"], arrays["bpg/tiny/kl"])


def test_summary_says_how_it_was_measured(finished: Path) -> None:
    found = _summary(finished)
    assert found["photos"] == 4 and found["qps"] == list(QPS) and found["anchor"] == "bpg"
    assert {"torch", "x265_version", "cpu"} <= set(found["machine"])
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert set(arms["blur"]["prefilter"]["blur"]) == {str(qp) for qp in QPS}
    assert arms["same"]["codec"] == {"effort": 0}
    assert {one["label"]: one["seen"] for one in found["networks"]} == {"tiny": True, "bright": False}
    assert {row["quality"] for row in found["differences"]} == {"kl", "agreement", "error", "psnr"}
    metric = next(row for row in found["comparisons"] if row["quality"] == "correlation")
    assert metric["low"] is None if metric["bd_rate"] is not None else metric["problem"]


def test_tables_and_pictures(finished: Path) -> None:
    text = (finished / "table.md").read_text()
    for words in (
        "judged by tiny (seen)",
        "judged by bright (unseen)",
        "against machine",
        "| learned minus blur |",
    ):
        assert words in text
    with Image.open(finished / "curves.png") as plot, Image.open(finished / "strip.png") as strip:
        assert plot.width > 800 and plot.height > 600
        assert strip.width > 4 * 48 and strip.height > 2 * 48
        assert len(np.unique(np.asarray(strip.convert("L")))) > 50


def _count_codings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from npp.evaluation import measuring

    qps: list[int] = []
    original = measuring.code

    def counted(batch: Any, arm: Arm, qp: int, *rest: Any) -> Any:
        qps.append(qp)
        return original(batch, arm, qp, *rest)

    monkeypatch.setattr(measuring, "code", counted)
    return qps


def test_a_stopped_run_goes_on_and_ends_the_same(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config(values(photos))
    whole = evaluate(config, tmp_path / "whole")

    def stopping(_name: str, _total: int) -> Any:
        done = []

        def progress(_pictures: int) -> None:
            done.append(1)
            if len(done) == 7:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        evaluate(config, tmp_path / "stopped", stopping)
    assert not (tmp_path / "stopped" / "summary.json").exists()
    codings = _count_codings(monkeypatch)
    again = evaluate(config, tmp_path / "stopped")
    # Two sizes make two batches.
    assert len(codings) == 2 * 2 * len(QPS) - 7
    for name in ("results/bpg.json", "results/machine.json", "table.md", "strip.png"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    first, second = whole.measured.arms["machine"], again.measured.arms["machine"]
    assert all(np.array_equal(first.scores[key], second.scores[key]) for key in first.scores)
    codings.clear()
    evaluate(config, tmp_path / "stopped")
    assert codings == []


def test_what_changes_is_measured_anew_and_the_rest_is_not(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(parse_config(values(photos)), tmp_path)
    codings = _count_codings(monkeypatch)
    arms = [{"name": "bpg", "effort": 0}, {"name": "renamed", "effort": 0, "prefilter": {"blur": 0.8}}]
    evaluate(parse_config(values(photos, arms=arms, qps=[*QPS, 45])), tmp_path)
    # The new arm at six qps, the anchor at one, in two batches.
    assert sorted(codings) == sorted([*QPS, *QPS, 45, 45, 45, 45])


def test_store_keeps_parts_by_all_that_they_depend_on(tmp_path: Path) -> None:
    store = PartStore(tmp_path / "parts")
    part = {"sizes": torch.arange(3), "names": ["a", {"b": torch.rand(2)}]}
    assert store.load({"qp": 30}) is None
    store.save({"qp": 30, "arm": "x"}, part)
    assert store.load({"arm": "x", "qp": 30})["names"][1]["b"].equal(part["names"][1]["b"])
    assert store.load({"qp": 31, "arm": "x"}) is None


def test_a_higher_limit_keeps_the_photos_of_a_lower_one(photos: Path) -> None:
    few, many = (parse_config(values(photos), limit=limit).data.paths() for limit in (3, 6))
    assert len(many) == 6 and few == many[:3]


def test_defaults_are_the_method_s() -> None:
    config = parse_config({"data": {"folder": "x"}, "seen": [{"name": "classification", "model": "m"}]})
    assert config.qps == DEFAULT_QPS and [arm.name for arm in config.arms] == ["bpg", "machine", "blur"]
    assert config.anchor == "bpg" and config.selection is not None and config.selection.part == "val"
    assert config.data.part == "test" and config.strip.arm == "blur"


def _first_arm(**changes: Any) -> dict[str, Any]:
    return {"arms": [{"name": "a", **changes}, {"name": "b"}]}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("evaluate-*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPP_DATA", "/photos")
    config = parse_config(read_config(path), name=path.stem)
    training = path.with_name(path.name.replace("evaluate", "preprocessor"))
    if training.exists():
        assert list(config.data.fractions) == read_config(training)["data"]["fractions"]
    assert config.data.part == "test" and config.data.fractions == (0.42, 0.08, 0.5)
    chooses = any(arm.name == "blur" for arm in config.arms)
    assert chooses == (config.selection is not None and config.selection.part == "val")
    assert {network.seen for network in config.networks} == ({True, False} if chooses else {True})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"qps": [30, 31, 32, 33]}, r"^qps .*at least 5"),
        ({"qps": [30, 31, 32, 33, 60]}, r"^qps .*60"),
        ({"data": {"folder": "x", "mode": "zoom"}}, r"^data\.mode must be one of crop, resize, full"),
        ({"data": {"size": 64}}, r"^data\.folder is missing"),
        ({"data": {"folder": "x", "crops": 3}}, r"^data\.crops is not known"),
        ({"seen": []}, r"^seen must have at least one"),
        ({"seen": [{"model": "m"}]}, r"^seen\[0\]\.name is missing"),
        ({"arms": [{"name": "a"}]}, r"^arms must be at least two"),
        (_first_arm(name="b"), r"^arms\[1\]\.name .*used twice"),
        (_first_arm(name="b/c"), r"^arms\[0\]\.name must be of letters"),
        (_first_arm(effort=11), r"^arms\[0\].*effort.*0 to 9.*11"),
        (_first_arm(prefilter={"sharpen": 1}), r"^arms\[0\]\.prefilter must be none or one of"),
        (_first_arm(prefilter={"blur": {28: 1}}), r"^arms\[0\]\.prefilter\.blur\.31 is missing"),
        (_first_arm(prefilter={"refine": {"step": 1}}), r"prefilter\.refine\.step is not known"),
        (_first_arm(codec_of="z"), r"^arms\[0\]\.codec_of must be best or one of b, not 'z'"),
        (_first_arm(codec_of="b", effort=3), r"^arms\[0\]\.effort and codec_of \(b\) exclude"),
        ({"anchor": "z"}, r"^anchor names the arm 'z'; there are bpg, machine"),
        ({"analysis": {"differences": [["bpg"]]}}, r"^analysis\.differences\[0\] must be a list"),
        ({"analysis": {"groups": {"g": ["bpg", "machine"]}}}, r"^analysis\.groups\.g must not have"),
        ({"analysis": {"against": ["z"]}}, r"^analysis\.against names the arm 'z'"),
        ({"strip": {"qp": 33}}, r"^strip\.qp must be one of 28"),
        ({"batches": 3}, r"^batches is not known"),
    ],
)
def test_errors_name_the_key(photos: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(values(photos, **changes))


def test_what_cannot_be_loaded_is_said_before_anything_is_measured(photos: Path, tmp_path: Path) -> None:
    arms = [{"name": "a"}, {"name": "b", "prefilter": {"preprocessor": "gone.safetensors"}}]
    with pytest.raises(ConfigError, match=r"arm b: .*gone\.safetensors"):
        evaluate(parse_config(values(photos, arms=arms)), tmp_path)
    with pytest.raises(ConfigError, match="network m: "):
        evaluate(parse_config(values(photos, seen=[{"name": "classification", "model": "m"}])), tmp_path)
    seen = [{**values(photos)["seen"][0], "quality": "iou"}]
    with pytest.raises(ConfigError, match="network tiny: quality must be one of kl"):
        evaluate(parse_config(values(photos, seen=seen)), tmp_path)


def test_selection_photos_must_be_others(photos: Path, tmp_path: Path) -> None:
    selection = {"folder": str(photos / "test")}
    arms = [{"name": "a", "effort": 0}, {"name": "b", "effort": 0, "prefilter": {"blur": "best"}}]
    config = parse_config(values(photos, arms=arms, selection={**selection, "part": "all"}))
    with pytest.raises(ValueError, match="selection and data share photos"):
        evaluate(config, tmp_path)


def test_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("seen: [{name: classification}]\nqps: [1, 2]\ndata: {folder: .}\n")
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main(["evaluate", str(path)])
    assert stopped.value.code == 2 and "qps" in capsys.readouterr().err
