"""Training of the preprocessor: its loss, its schedule, its files, and that it can be continued."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import pictures
from PIL import Image

import npp
from npp.config.yaml_files import ConfigError

pytest.importorskip("lightning")
pytest.importorskip("yaml")

import npp.cli
from npp.config.typed import fill, plain
from npp.tasks import build_task
from npp.training import lightning_module as module_file
from npp.training.baseline import Baseline, Curve, Trend, load_curves, measure, save_curves
from npp.training.draws import Draws, Photos, Sample
from npp.training.lightning_module import PreprocessorModule, change_strip, curve_bd_rate
from npp.training.objective import LossWeights, Targets, total_loss
from npp.training.schedule import AtomicCheckpointIO, averaged, build_optimiser, rate_factor
from npp.training.train_config import (
    DataConfig,
    LossConfig,
    OptimiserConfig,
    TradeOffConfig,
    TrainConfig,
    load_config,
)
from npp.training.training_run import train_preprocessor

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if not path.stem.startswith("evaluate")]
NETWORK = "python:training_nets:classifier"
SMALL_TASK = f"tasks=[{{name: classification, model: '{NETWORK}'}}]"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small pictures gain nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small photos."""
    folder = tmp_path_factory.mktemp("photos")
    for i, picture in enumerate(pictures(8, 72)):
        Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    return folder


def smoke(photos: Path, out: Path, *changes: str) -> TrainConfig:
    """configs/smoke.yaml with a small network."""
    given = [f"data.folder={photos}", f"out={out}", SMALL_TASK, "trainer.progress=false", *changes]
    return load_config(ROOT / "configs/smoke.yaml", given)


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("finished")
    return train_preprocessor(smoke(photos, out)).parent


def state(path: Path) -> dict[str, Any]:
    """A checkpoint."""
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


# The objective


def test_total_is_what_a_pencil_says() -> None:
    x = torch.zeros(2, 3, 4, 4)
    x_pre = torch.stack([torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), 0.1)])
    terms = total_loss(
        x,
        x_pre,
        torch.tensor([1.0, 0.2]),
        torch.tensor([[0.3, 2.0], [0.1, 4.0]]),
        torch.tensor([[2.0, 0.5], [10.0, 0.25]]),
        torch.tensor([2.0, 0.5]),
        LossConfig(w_pre=0.5, mse_scale=4),
    )
    assert terms.mse.tolist() == pytest.approx([0.25, 0.01])
    first = (1.0 + 0.5 * 4 * 0.25 + 2 * 0.3 + 0.5 * 2) / 2
    second = (0.2 + 0.5 * 4 * 0.01 + 10 * 0.1 + 0.25 * 4) / 0.5
    assert terms.total.tolist() == pytest.approx([first, second])


def exponential(scale: float = 1.0) -> Curve:
    """bpp = 8 exp(-qp / 10), loss = scale · exp(qp / 5) / 1000."""
    qps = [25, 30, 35, 40, 45]
    return Curve(
        qps,
        [8 * math.exp(-qp / 10) for qp in qps],
        {"a": [scale * math.exp(qp / 5) / 1000 for qp in qps], "b": [math.exp(qp / 5) for qp in qps]},
    )


def test_slope_of_a_known_curve() -> None:
    baseline = Baseline(exponential())
    # bpp' / loss' = (8 exp(-qp/10) / 10) / (exp(qp/5) / 5000)
    for qp in (25, 33, 45):
        expected = 8 * math.exp(-qp / 10) / 10 / (math.exp(qp / 5) / 5000)
        assert baseline.slope("a", [qp])[0] == pytest.approx(expected)
        assert baseline.bpp([qp])[0] == pytest.approx(8 * math.exp(-qp / 10))


def test_weights_are_slopes_times_shares() -> None:
    baseline, weights = Baseline(exponential()), LossWeights(2)
    trade_off = TradeOffConfig(qps=(25, 44), slope_factor=2)
    weights.set(baseline, {"a": 3.0, "b": 1.0}, trade_off, LossConfig(normalise="baseline"))
    assert weights.coefficients[30].tolist() == pytest.approx(
        [0.75 * 2 * baseline.slope("a", [30])[0], 0.25 * 2 * baseline.slope("b", [30])[0]]
    )
    # Losses of whatever scale count alike at the baseline.
    costs = weights.coefficients[30] * torch.tensor([baseline.loss(label, 30).item() for label in "ab"])
    assert costs[0].item() == pytest.approx(3 * costs[1].item(), rel=1e-5)
    assert weights.norm[30].item() == pytest.approx(8 * math.exp(-3))
    assert weights.coefficients[[24, 45]].isnan().all() and weights.norm[[24, 45]].isnan().all()


def test_published_pairs_are_taken_as_they_are() -> None:
    one, two = LossWeights(1), LossWeights(2)
    curve = exponential()
    trade_off, loss = TradeOffConfig(pairs="published"), LossConfig(normalise="none")
    one.set(Baseline(Curve(curve.qps, curve.bpp, {"a": curve.losses["a"]})), {"a": 5.0}, trade_off, loss)
    assert one.coefficients[[25, 28, 29, 31, 34, 37, 44], 0].tolist() == [16, 8, 6, 4, 2, 1, 0.25]
    assert one.norm[25] == 1 and one.norm[26].isnan()
    # b's loss is 1000 times a's: it is brought to a's scale.
    two.set(Baseline(curve), {"a": 1.0, "b": 1.0}, trade_off, loss)
    assert two.coefficients[25].tolist() == pytest.approx([8, 0.008])


def test_trend_stays_monotone() -> None:
    qps = [25, 30, 35, 40]
    bent = Trend("loss", qps, np.exp([0.0, 2.0, 3.0, 3.1]), rising=True)
    assert (bent.log_slope(range(25, 41)) > 0).all()
    curved = Trend("loss", qps, np.exp([0.0, 1.0, 2.2, 3.6]), rising=True)
    assert curved.log_slope([40])[0] > 1.3 * curved.log_slope([25])[0]
    with pytest.raises(ValueError, match="loss does not rise from qp 25 to 40"):
        Trend("loss", qps, [3.0, 2.0, 2.0, 1.0], rising=True)


def test_baseline_is_the_mean_of_the_real_codec() -> None:
    task = build_task("classification", model=NETWORK)
    x = pictures(3, 32)
    curve = measure([x[:2], x[2:]], {"a": task}, [40, 30], {"effort": 0})
    coded = npp.compress(x, 40, effort=0)
    assert curve.qps == [30, 40]
    assert curve.bpp[1] == pytest.approx(coded.bpp.mean().item())
    assert curve.losses["a"][1] == pytest.approx(
        task.loss(coded.x_hat, task.targets(x)).mean().item(), rel=1e-4
    )


def test_curves_are_measured_again_under_other_conditions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "baseline.json"
    assert load_curves(path, {"photos": 3}) is None
    save_curves(path, {"training": exponential()}, {"photos": 3})
    assert load_curves(path, {"photos": 3}) == {"training": exponential()}
    assert load_curves(path, {"photos": 4}) is None
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"baseline\.json holds no curves"):
        load_curves(path, {"photos": 3})


def test_bd_rate_of_fewer_bits_is_what_was_saved() -> None:
    curve = exponential()
    fewer = Curve(curve.qps, [0.9 * bpp for bpp in curve.bpp], curve.losses)
    assert curve_bd_rate(curve, fewer, "a") == pytest.approx(-10)
    other = Curve(curve.qps, curve.bpp, {"a": [1e6 * loss for loss in curve.losses["a"]]})
    assert math.isnan(curve_bd_rate(curve, other, "a"))


# Photos


def test_kth_picture_does_not_depend_on_what_came_before(photos: Path) -> None:
    paths = sorted(photos.glob("*.png"))
    data = DataConfig(str(photos), size=64)
    draws = Draws(paths, data, [30, 40], seed=1)
    first = [draws[k] for k in range(16)]
    again = Draws(paths, data, [30, 40], seed=1)
    for k in (11, 3):
        assert all(torch.equal(a, b) for a, b in zip(first[k], again[k], strict=True))
    assert (
        sorted(int(s.photo) for s in first[:8]) == sorted(int(s.photo) for s in first[8:]) == list(range(8))
    )
    assert [int(s.photo) for s in first[:8]] != [int(s.photo) for s in first[8:]]
    assert {int(s.qp) for s in first} == {30, 40}
    other = Draws(paths, data, [30, 40], seed=2)
    assert any(int(other[k].photo) != int(first[k].photo) for k in range(8))


def test_targets_are_made_once_where_photos_come_again() -> None:
    class Counting:
        seen = 0

        def targets(self, x: torch.Tensor) -> list[float]:
            self.seen += len(x)
            return x.flatten(1).sum(1).tolist()

    task, x = Counting(), pictures(3, 8)
    kept = Targets({"a": task}, keep=True)  # type: ignore[dict-item]
    first = kept.of(x, torch.tensor([5, 6, 7]))
    again = kept.of(x[[2, 0]], torch.tensor([7, 5]))
    assert again == {"a": [first["a"][2], first["a"][0]]} and task.seen == 3
    Targets({"a": task}, keep=False).of(x, torch.tensor([5, 6, 7]))  # type: ignore[dict-item]
    assert task.seen == 6


# Schedule


def test_rate_rises_and_falls() -> None:
    config = OptimiserConfig(steps=100, warmup=10, final=0.1)
    rates = [rate_factor(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.55) and rates[100] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_single_numbers_do_not_decay() -> None:
    layer = torch.nn.Linear(3, 2)
    groups = build_optimiser(layer.parameters(), OptimiserConfig(weight_decay=0.5)).param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.5), (1, 0.0)]
    assert groups[0]["params"][0] is layer.weight


def test_average_is_exponential() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    ema = averaged(layer, 0.5)
    ema.update_parameters(layer)
    expected = 1.0
    for n, value in enumerate([2.0, 5.0, -1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 8.0], start=1):
        layer.weight.data.fill_(value)
        ema.update_parameters(layer)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert ema.module.weight.item() == pytest.approx(expected)
    assert not ema.module.weight.requires_grad


def test_strip_shows_four_pictures_a_row() -> None:
    x = torch.full((2, 3, 8, 8), 0.5)
    picture = change_strip(x, x + 0.05, x - 0.1)
    assert picture.shape == (3, 2 * 12, 4 * 12)
    centres = picture[0, 4::12, 4::12]
    torch.testing.assert_close(centres, torch.tensor([[0.5, 0.55, 0.4, 0.9]] * 2))


# Runs


def test_training_lowers_the_total(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path)
    module = PreprocessorModule(config, Photos(config))
    baseline = Baseline(exponential())
    curve = Curve(exponential().qps, exponential().bpp, {"classification": exponential().losses["a"]})
    module.weights.set(Baseline(curve), {"classification": 1.0}, config.trade_off, config.loss)
    batch = Sample(pictures(2, 64), torch.tensor([32, 38]), torch.tensor([0, 1]))
    optimiser = torch.optim.Adam(module.model.parameters(), lr=0.01)
    totals = []
    for _ in range(8):
        terms = module.terms(batch)
        totals.append(terms.total.mean().item())
        optimiser.zero_grad()
        terms.total.mean().backward()
        optimiser.step()
    assert baseline.bpp([32])[0] > 0
    assert min(totals[-3:]) < 0.98 * totals[0]
    assert not any(parameter.grad is not None for parameter in module.tasks.parameters())


def test_run_leaves_weights_curves_configuration_and_logs(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    preprocessor = npp.Preprocessor.load(finished / "preprocessor.safetensors")
    assert preprocessor.settings["width"] == 8
    assert load_config(finished / "config.yaml").out == str(finished)
    assert set(json.loads((finished / "baseline.json").read_text())["curves"]) == {"training", "validation"}
    events = EventAccumulator(str(finished / "logs"))
    events.Reload()
    wanted = {"train/total", "train/bpp", "train/mse", "train/classification", "val/bd_rate", "val/bpp"}
    assert wanted <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/total")] == [0, 1, 2, 3]
    assert len(events.Images("pictures/qp36")) == 2


def test_weights_are_the_averaged_ones_and_tasks_stay_out(finished: Path) -> None:
    best = state(finished / "checkpoints/best.ckpt")["state_dict"]
    stored = npp.Preprocessor.load(finished / "preprocessor.safetensors").state_dict()
    for name, tensor in stored.items():
        assert torch.equal(tensor, best[f"ema.module.{name}"])
    assert any(not torch.equal(tensor, best[f"model.{name}"]) for name, tensor in stored.items())
    assert not any(name.startswith("tasks.") for name in best)


def test_interrupted_run_ends_with_the_same_weights(
    finished: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(Exception):
        pass

    def fail(self: PreprocessorModule, batch: Sample, index: int) -> torch.Tensor:
        if index == 3:
            raise PowerCutError
        return step(self, batch, index)

    step = PreprocessorModule.training_step
    config = smoke(photos, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(PreprocessorModule, "training_step", fail)
        with pytest.raises(PowerCutError):
            train_preprocessor(config)
    last = tmp_path / "checkpoints/last.ckpt"
    assert state(last)["global_step"] == 2
    measured = (tmp_path / "baseline.json").stat().st_mtime_ns
    train_preprocessor(config, resume=last)
    assert (tmp_path / "baseline.json").stat().st_mtime_ns == measured
    whole, continued = state(finished / "checkpoints/last.ckpt"), state(last)
    assert whole["global_step"] == continued["global_step"] == 4
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, continued["state_dict"][name]), name
    kept = [
        npp.Preprocessor.load(out / "preprocessor.safetensors").state_dict() for out in (finished, tmp_path)
    ]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_several_tasks_and_half_precision(photos: Path, tmp_path: Path) -> None:
    tasks = (
        f"tasks=[{{name: classification, model: '{NETWORK}'}},"
        f" {{name: match, model: '{NETWORK}', weight: 2}},"
        f" {{name: match, model: '{NETWORK}', distance: mse}}]"
    )
    config = smoke(photos, tmp_path, tasks, "trainer.precision=bf16-mixed", "trainer.keep=last")
    assert config.labels == ["classification", "match1", "match2"]
    weights = train_preprocessor(config, fast_dev_run=True)
    assert npp.Preprocessor.load(weights).network == "gains"
    curves = json.loads((weights.parent / "baseline.json").read_text())["curves"]
    assert list(curves["training"]["losses"]) == config.labels


def test_training_goes_on_from_weights(finished: Path, photos: Path, tmp_path: Path) -> None:
    weights = finished / "preprocessor.safetensors"
    config = smoke(photos, tmp_path, f"preprocessor={{start: '{weights}'}}")
    module = PreprocessorModule(config, Photos(config))
    stored = npp.Preprocessor.load(weights).state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in module.model.state_dict().items())
    with pytest.raises(ConfigError, match="preprocessor: settings width, depth are those of start"):
        module_file.build_preprocessor(
            smoke(photos, tmp_path, f"preprocessor.start={weights}", "preprocessor.depth=2")
        )


# Checkpoints


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_killed_writer_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            os._exit(9)

    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    content = {"weights": torch.zeros(1000), "end": Bomb()}
    child = os.fork()
    if child == 0:
        AtomicCheckpointIO().save_checkpoint(content, path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert AtomicCheckpointIO().load_checkpoint(path) == {"step": 1}


# Configuration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.stepz=3", r"optimiser\.stepz is not known; allowed are batch, clip, ema"),
        ("optimiser.steps=ten", r"optimiser\.steps must be a whole number, not 'ten'"),
        ("optimiser.steps=0", r"optimiser\.steps must be at least 1, not 0"),
        ("optimiser.ema=1", r"optimiser\.ema must be below 1, not 1\.0"),
        ("codec.effort=12", r"codec\.effort must be an integer from 0 to 9, not 12"),
        ("codec.floor=2", r"codec\.floor must be from 0 to 1, not 2\.0"),
        ("codec.effrt=1", r"codec\.unknown option 'effrt'"),
        ("codec.surrogate=magic", r"codec\.surrogate must be one of .*'gated'.*not 'magic'"),
        ("trade_off.pairs=published", r"trade_off\.qps and pairs exclude each other"),
        ("trade_off={pairs: [[60, 1]]}", r"trade_off\.pairs must be from 0 to 51, not 60"),
        ("trade_off={pairs: best}", r"trade_off\.pairs must be published or a list or null, not 'best'"),
        ("validation.qps=[30]", r"validation\.qps must be at least two, not \[30\]"),
        ("loss.normalise=mean", r"loss\.normalise must be none or baseline, not 'mean'"),
        ("data.cache_targets=true", r"data\.cache_targets must be false where augment is true"),
        ("data.fractions=[1, 2]", r"data\.fractions must have 3 entries, not \[1, 2\]"),
        ("tasks=[]", "tasks must name at least one task"),
        ("tasks.0.weight=0", r"tasks\[0\]\.weight must be above 0, not 0\.0"),
        ("trainer.precision=8", r"trainer\.precision must be 32-true or .*, not 8"),
        ("data=5", "data must be keys and values, not 5"),
        ("data={}", r"data\.folder is missing"),
    ],
)
def test_wrong_settings_are_named(photos: Path, tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        smoke(photos, tmp_path, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tasks.0.name=magic", r"tasks\[0\]: task must be one of"),
        ("tasks.0.model=python:absent:net", r"tasks\[0\]: No module named 'absent'"),
        ("preprocessor.network=magic", "preprocessor: network must be one of"),
        ("preprocessor.wdth=3", "preprocessor: unknown setting 'wdth'"),
        ("preprocessor={network: blur}", r"preprocessor\.network 'blur' has nothing to train"),
        ("data.folder=/nowhere", "/nowhere is not a folder"),
        ("data.fractions=[1, 0, 0]", r"data\.fractions \[1\.0, 0\.0, 0\.0\] leave none of 8 photos for val"),
    ],
)
def test_what_does_not_exist_is_named(photos: Path, tmp_path: Path, change: str, message: str) -> None:
    config = smoke(photos, tmp_path, change)
    with pytest.raises(ConfigError, match=message):
        PreprocessorModule(config, Photos(config))


def test_configuration_survives_a_file(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, "codec.chroma='444'")
    assert config.codec.all_options == {"effort": 0, "tune": "ssim", "chroma": "444"}
    assert fill(TrainConfig, json.loads(json.dumps(plain(config)))) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_can_be_built(
    path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPP_DATA", str(photos))
    monkeypatch.setenv("NPP_MODELS", "/models")
    here = ["data.fractions=[0.5, 0.5, 0]", "data.include=null"]
    config = load_config(path, here)
    names = {label.rstrip("0123456789") for label in config.labels}
    assert names <= {"classification", "detection", "segmentation", "recognition", "match"}
    small = load_config(path, [*here, SMALL_TASK])
    module = PreprocessorModule(small, Photos(small))
    assert module.model.network == config.preprocessor.network


# The command


def run_cli(*words: str) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as ended:
        npp.cli.main(list(words))
    return int(ended.value.code or 0)


def test_command_trains_from_yaml(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NPP_DATA", str(photos))
    words = ["train", str(ROOT / "configs/smoke.yaml"), "--out", str(tmp_path / "run"), "--devices", "1"]
    words += ["--set", SMALL_TASK, "--set", "trainer.progress=false", "--seed", "3"]
    assert run_cli(*words, "--fast-dev-run") == 0
    out = tmp_path / "run" / "fast-dev-run"
    weights = out / "preprocessor.safetensors"
    assert capsys.readouterr().out.split() == [str(weights)] and weights.is_file()
    assert load_config(out / "config.yaml").seed == 3
    assert run_cli(*words, "--set", "optimiser.batch=0") == 2
    assert "npp: optimiser.batch must be at least 1, not 0" in capsys.readouterr().err
    assert run_cli(*words, "--resume", str(tmp_path / "none.ckpt")) == 2
    assert "there is no checkpoint" in capsys.readouterr().err
    assert run_cli("train", str(tmp_path / "absent.yaml")) == 2


def test_command_still_trains_the_proxy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_cli("train", "proxy", "--data", str(tmp_path), "--crop", "64") == 2
    assert "no photos" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_train_as_one(photos: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "npp.cli", "train", str(ROOT / "configs/smoke.yaml"), "--set", SMALL_TASK]
    words += ["--set", "trainer.progress=false", "--set", "trainer.keep=last"]
    environment = {
        **os.environ,
        "NPP_DATA": str(photos),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
    }
    two = ["--out", str(tmp_path / "two"), "--devices", "2", "--set", "trainer.strategy=ddp"]
    one = ["--out", str(tmp_path / "one"), "--set", "optimiser.batch=4"]
    for more in (two, one):
        subprocess.run([*words, *more], check=True, env=environment)
    weights = [npp.Preprocessor.load(tmp_path / out / "preprocessor.safetensors") for out in ("two", "one")]
    for a, b in zip(*(one.state_dict().values() for one in weights), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
