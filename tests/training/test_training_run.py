"""Whole trainings: what they leave, and that they can be continued."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import training_nets
from PIL import Image
from small_runs import NETWORK, exponential, pictures, run_until_power_cut, smoke, state

import npp
from npp.config.yaml_files import ConfigError
from npp.photos.finding import PhotoWarning
from npp.training import lightning_module as module_file
from npp.training.baseline import Curve, Sums
from npp.training.draws import Photos, Sample
from npp.training.lightning_module import RecipeModule
from npp.training.rate_fit import Baseline
from npp.training.recipe_model import build_recipe
from npp.training.schedule import build_optimiser, build_schedule, rate_factor, set_rates
from npp.training.train_config import OptimiserConfig, TaskConfig, TrainConfig, load_config
from npp.training.training_failure import TrainingFailedError
from npp.training.training_run import made_by, train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def test_training_lowers_the_total(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path)
    module = RecipeModule(config, Photos(config))
    curve = Curve(exponential().qps, exponential().bpp, {"classification": exponential().losses["a"]})
    module.weights.set(Baseline(curve), {"classification": 1.0}, config.trade_off, config.loss)
    batch = Sample(pictures(2, 64), torch.tensor([32, 38]), torch.tensor([0, 1]), torch.tensor([-1, -1]))
    optimiser = torch.optim.Adam(module.model.parameters(), lr=0.01)
    totals = []
    for _ in range(8):
        _, terms = module.total(batch)
        totals.append(terms.total.mean().item())
        optimiser.zero_grad()
        terms.total.mean().backward()
        optimiser.step()
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


def test_a_qp_that_is_named_twice_validates_once(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, "validation.qps=[44, 36, 28, 36]")
    assert config.validation.qps == (28, 36, 44)
    sums = Sums([44, 36, 28, 36], ["a"])
    for qp in config.validation.qps:
        sums.add(qp, torch.tensor([qp / 10]), torch.tensor([[qp / 50]]))
    assert sums.curve().qps == [28, 36, 44]
    assert sums.curve().bpp == pytest.approx([2.8, 3.6, 4.4])
    train_recipe(config)
    curve = json.loads((tmp_path / "baseline.json").read_text())["curves"]["validation"]
    assert curve["qps"] == [28, 36, 44]


def test_weights_are_the_averaged_ones_and_tasks_stay_out(finished: Path) -> None:
    best = state(finished / "checkpoints/best.ckpt")["state_dict"]
    stored = npp.Preprocessor.load(finished / "preprocessor.safetensors").state_dict()
    for name, tensor in stored.items():
        assert torch.equal(tensor, best[f"ema.module.preprocessor.{name}"])
    assert any(not torch.equal(tensor, best[f"model.preprocessor.{name}"]) for name, tensor in stored.items())
    assert not any(name.startswith("tasks.") for name in best)


def test_interrupted_run_ends_with_the_same_weights(
    finished: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = smoke(photos, tmp_path)
    run_until_power_cut(config, 3, monkeypatch)
    last = tmp_path / "checkpoints/last.ckpt"
    assert state(last)["global_step"] == 2
    measured = (tmp_path / "baseline.json").stat().st_mtime_ns
    train_recipe(config, resume=last)
    assert (tmp_path / "baseline.json").stat().st_mtime_ns == measured
    whole, continued = state(finished / "checkpoints/last.ckpt"), state(last)
    assert whole["global_step"] == continued["global_step"] == 4
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, continued["state_dict"][name]), name
    kept = [
        npp.Preprocessor.load(out / "preprocessor.safetensors").state_dict() for out in (finished, tmp_path)
    ]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_a_network_in_memory_trains_and_goes_on(
    finished: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(network: torch.nn.Module) -> TrainConfig:
        tasks = [TaskConfig("classification", settings={"model": network})]
        return replace(smoke(photos, tmp_path), tasks=tasks)

    run_until_power_cut(of(training_nets.classifier()), 3, monkeypatch)
    last, other = tmp_path / "checkpoints/last.ckpt", training_nets.classifier()
    next(other.parameters()).data.neg_()
    with pytest.raises(ConfigError, match="of a training with other tasks"):
        train_recipe(of(other), resume=last)
    wrapped = torch.nn.Sequential(*training_nets.classifier(), torch.nn.Identity())
    with pytest.raises(ConfigError, match=r"other networks of tasks\.classification"):
        train_recipe(of(wrapped), resume=last)
    train_recipe(of(training_nets.classifier()), resume=last)
    by_name, in_memory = (
        npp.Preprocessor.load(out / "preprocessor.safetensors").state_dict() for out in (finished, tmp_path)
    )
    assert all(torch.equal(by_name[name], in_memory[name]) for name in by_name)
    written = load_config(tmp_path / "config.yaml").tasks[0].settings
    kind = f"{type(other).__module__}.{type(other).__qualname__}"
    assert written == {"model": f"{kind} given from Python"}


def test_several_tasks_and_half_precision(photos: Path, tmp_path: Path) -> None:
    tasks = (
        f"tasks=[{{name: classification, model: '{NETWORK}'}},"
        f" {{name: match, model: '{NETWORK}', weight: 2}},"
        f" {{name: match, model: '{NETWORK}', distance: mse}}]"
    )
    config = smoke(photos, tmp_path, tasks, "trainer.precision=bf16-mixed", "trainer.keep=last")
    assert config.labels == ["classification", "match1", "match2"]
    weights = train_recipe(config, fast_dev_run=True)
    assert npp.Preprocessor.load(weights.parent / "preprocessor.safetensors").network == "gains"
    curves = json.loads((weights.parent / "baseline.json").read_text())["curves"]
    assert list(curves["training"]["losses"]) == config.labels


def test_training_goes_on_from_weights(finished: Path, photos: Path, tmp_path: Path) -> None:
    weights = finished / "preprocessor.safetensors"
    config = smoke(photos, tmp_path, f"preprocessor={{start: '{weights}'}}")
    module = RecipeModule(config, Photos(config))
    stored = npp.Preprocessor.load(weights).state_dict()
    built = module.model.preprocessor.state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in built.items())
    with pytest.raises(ConfigError, match="preprocessor: settings width, depth are those of start"):
        changes = (f"preprocessor.start={weights}", "preprocessor.depth=2")
        build_recipe(smoke(photos, tmp_path, *changes))


# Going on, and not


def test_a_network_is_known_by_the_files_that_define_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a function does to the same weights stands in its file: another one has another curve of BPG."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "net_of_a_run.py"
    module.write_text("from training_nets import classifier as net\n")
    model = "tasks=[{name: classification, model: 'python:net_of_a_run:net'}]"
    config = smoke(photos, tmp_path / "run", model)
    train_recipe(config)
    curves, last = tmp_path / "run/baseline.json", tmp_path / "run/checkpoints/last.ckpt"
    conditions = json.loads(curves.read_text())["conditions"]
    assert conditions["versions"]["torch"] and conditions["versions"]["npp_version"]
    measured = curves.stat().st_mtime_ns
    train_recipe(smoke(photos, tmp_path / "run", model, "optimiser.steps=5"), resume=last)
    assert curves.stat().st_mtime_ns == measured
    module.write_text("from training_nets import classifier as net  # with another body\n")
    importlib.reload(sys.modules["net_of_a_run"])  # as a new process has it
    longer = smoke(photos, tmp_path / "run", model, "optimiser.steps=6")
    with pytest.raises(ConfigError, match=r"is of a training with other files of tasks\.classification$"):
        train_recipe(longer, resume=last)
    # Checkpoints of before told nothing of files; the curve is measured anew.
    older = state(last)
    del older["training"]["files of tasks.classification"]
    torch.save(older, last)
    train_recipe(longer, resume=last)
    assert curves.stat().st_mtime_ns > measured
    assert json.loads(curves.read_text())["conditions"]["sources"] != conditions["sources"]


def test_a_run_of_other_versions_measures_its_curves_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = smoke(photos, tmp_path)
    train_recipe(config, fast_dev_run=True)
    curves = tmp_path / "fast-dev-run/baseline.json"
    of_old = json.loads(curves.read_text())
    of_old["conditions"]["versions"]["x265_version"] = "of last year"
    of_old["curves"]["training"]["bpp"][0] = 99.0
    curves.write_text(json.dumps(of_old))
    train_recipe(config, fast_dev_run=True)
    assert json.loads(curves.read_text())["curves"]["training"]["bpp"][0] < 24


def test_a_finished_run_goes_on_with_more_steps(finished: Path, photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, "optimiser.steps=7", "optimiser.learning_rate=0.02")
    train_recipe(config, resume=finished / "checkpoints/last.ckpt")
    last = state(tmp_path / "checkpoints/last.ckpt")
    assert last["global_step"] == 7
    for group in last["optimizer_states"][0]["param_groups"]:
        assert group["lr"] == pytest.approx(0.02 * rate_factor(7, config.optimiser))
    before = state(finished / "checkpoints/last.ckpt")["state_dict"]
    assert any(not torch.equal(tensor, last["state_dict"][name]) for name, tensor in before.items())
    again = smoke(photos, tmp_path, "optimiser.steps=9")
    train_recipe(again, resume=tmp_path / "checkpoints/last.ckpt")
    assert state(tmp_path / "checkpoints/last.ckpt")["global_step"] == 9


def test_rates_are_the_configurations_from_the_first_step_on() -> None:
    layer, short, long = torch.nn.Linear(3, 2), OptimiserConfig(steps=4), OptimiserConfig(steps=100, warmup=2)
    optimiser = build_optimiser([(layer, 1.0)], short)
    schedule = build_schedule(optimiser, short)
    set_rates(schedule, long, 4)
    assert schedule.base_lrs == 2 * [long.learning_rate]
    fresh = build_optimiser([(layer, 1.0)], long)
    for group, new in zip(optimiser.param_groups, fresh.param_groups, strict=True):
        assert (
            group["lr"] == new["lr"] * rate_factor(4, long) and group["weight_decay"] == new["weight_decay"]
        )


def test_a_run_that_has_all_its_steps_says_so(finished: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"last\.ckpt has done all 4 steps: nothing is left to train"):
        weights = train_recipe(smoke(photos, tmp_path), resume=finished / "checkpoints/last.ckpt")
    assert npp.Recipe.load(weights).preprocessor.settings["width"] == 8


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "checkpoints/last.ckpt",
            "preprocessor.width=16",
            r"another size of network: \S+ is \(.*\) there, \(.*\) here",
        ),
        ("checkpoints/last.ckpt", "preprocessor.depth=2", "is of another network: the checkpoint lacks "),
        ("checkpoints/last.ckpt", "optimiser.steps=3", "has done 4 steps, more than the 3 of the whole run"),
        ("checkpoints/last.ckpt", "seed=7", "is of a training with other seed: 0, not 7"),
        ("checkpoints/last.ckpt", "codec.effort=3", "is of a training with other codec: "),
        ("checkpoints/last.ckpt", "loss.w_pre=0.25", "is of a training with other loss: "),
        ("checkpoints/last.ckpt", "data.size=40", "is of a training with other data.size: "),
        ("checkpoints/last.ckpt", "data.limit=3", "is of a training with other photos"),
        (
            "checkpoints/last.ckpt",
            "tasks=[{name: match, model: 'python:training_nets:upper'}]",
            "is of a training with other tasks",
        ),
        ("preprocessor.safetensors", "seed=0", "is no checkpoint of a training"),
        ("config.yaml", "seed=0", "is no checkpoint of a training"),
    ],
)
def test_what_cannot_be_resumed_is_named(
    finished: Path, photos: Path, tmp_path: Path, name: str, change: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^resume: .*{Path(name).name} .*{message}"):
        train_recipe(smoke(photos, tmp_path, change), resume=finished / name)
    assert not (tmp_path / "preprocessor.safetensors").exists()


def test_without_any_validation_that_tells_the_last_weights_are_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_file, "curve_bd_rate", lambda *curves: math.nan)
    with pytest.warns(UserWarning, match=r"no validation has a val/bd_rate, so the last weights are kept"):
        weights = train_recipe(smoke(photos, tmp_path))
    last = state(tmp_path / "checkpoints/last.ckpt")["state_dict"]
    for name, tensor in npp.Recipe.load(weights).preprocessor.state_dict().items():
        assert torch.equal(tensor, last[f"ema.module.preprocessor.{name}"])


def test_weights_that_are_not_finite_are_not_kept(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, "optimiser.learning_rate=1e30", "optimiser.clip=0")
    with pytest.raises(TrainingFailedError, match=r"not finite.*: a lower optimiser.learning_rate"):
        train_recipe(config)
    assert not (tmp_path / "preprocessor.safetensors").exists()


# What is around a run


def test_a_damaged_photo_is_replaced_and_named_once(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    out = tmp_path / "run"
    config = smoke(folder, out, "optimiser.steps=6", "validation.every=6")
    damaged = sorted(config.data.paths())[0]
    damaged.write_bytes(damaged.read_bytes()[:500])
    with pytest.warns(PhotoWarning) as warned:
        train_recipe(config)
    named = [str(one.message) for one in warned if issubclass(one.category, PhotoWarning)]
    # Once where BPG's own curve is measured, once where it is drawn.
    assert len(named) == 2 and all(str(damaged) in one for one in named)
    assert state(out / "checkpoints/last.ckpt")["global_step"] == 6


def test_a_run_may_go_to_a_folder_with_a_dollar(photos: Path, tmp_path: Path) -> None:
    config = replace(smoke(photos, tmp_path), out=str(tmp_path / "o$x"))
    train_recipe(config, fast_dev_run=True)
    found = load_config(tmp_path / "o$x/fast-dev-run/config.yaml")
    assert found.out == str(tmp_path / "o$x/fast-dev-run")


def test_the_default_dtype_and_device_change_nothing(finished: Path, photos: Path, tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            weights = train_recipe(smoke(photos, tmp_path))
            assert torch.empty(0).is_meta
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    wanted = npp.Preprocessor.load(finished / "preprocessor.safetensors").state_dict()
    for name, tensor in npp.Recipe.load(weights).preprocessor.state_dict().items():
        assert tensor.dtype == wanted[name].dtype and torch.equal(tensor, wanted[name])


def test_a_package_of_the_log_is_looked_for_before_the_work(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"tensorboard: pip install 'npp\[train\]'"):
        train_recipe(smoke(photos, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.devices=0", r"^trainer\.devices must be auto, -1 for all, at least 1, or .*, not 0"),
        ("trainer.devices=all", r"^trainer\.devices must be auto, -1 for all, at least 1, or .*, not 'all'"),
        ("trainer.devices=-1", r"^trainer\.devices must be auto or at least 1 on a CPU, not -1"),
        ("trainer.strategy=magic", "^trainer: .*magic"),
    ],
)
def test_what_lightning_refuses_is_an_error_of_the_configuration(
    photos: Path, tmp_path: Path, change: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train_recipe(smoke(photos, tmp_path, change), fast_dev_run=True)


def test_a_run_that_was_moved_knows_its_best_weights(finished: Path, photos: Path, tmp_path: Path) -> None:
    """The best ones are earlier than the last here; a copy of the folder on another disk has them too."""
    shutil.copytree(finished, tmp_path / "one")
    best, last = (
        torch.load(tmp_path / f"one/checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last")
    )
    key = next(name for name in last["callbacks"] if name.startswith("ModelCheckpoint"))
    for name in best["state_dict"]:
        if name.startswith("ema.module.preprocessor") and best["state_dict"][name].ndim > 1:
            best["state_dict"][name] += 1.0
    torch.save(best, tmp_path / "one/checkpoints/best.ckpt")
    last["callbacks"][key]["best_model_score"] = torch.tensor(-99.0)
    torch.save(last, tmp_path / "one/checkpoints/last.ckpt")
    shutil.rmtree(tmp_path / "two", ignore_errors=True)
    config = smoke(photos, tmp_path / "two", "optimiser.steps=6")
    weights = train_recipe(config, resume=tmp_path / "one/checkpoints/last.ckpt")
    stored = npp.Recipe.load(weights).preprocessor.state_dict()
    for name, tensor in stored.items():
        assert torch.equal(tensor, best["state_dict"][f"ema.module.preprocessor.{name}"]), name
    assert (tmp_path / "one/checkpoints/best.ckpt").is_file(), "the other run's file was taken away"
    assert state(tmp_path / "two/checkpoints/best.ckpt")["global_step"] == best["global_step"]


@pytest.mark.filterwarnings("default::UserWarning")
@pytest.mark.parametrize("what", ["validation", "file"])
def test_best_weights_that_say_nothing_are_forgotten(
    what: str, finished: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "one")
    last = torch.load(tmp_path / "one/checkpoints/last.ckpt", weights_only=True)
    key = next(name for name in last["callbacks"] if name.startswith("ModelCheckpoint"))
    last["callbacks"][key]["best_model_score"] = torch.tensor(-99.0)
    torch.save(last, tmp_path / "one/checkpoints/last.ckpt")
    changes = ["optimiser.steps=6"]
    if what == "file":
        (tmp_path / "one/checkpoints/best.ckpt").unlink()
    else:
        changes.append("validation.qps=[30, 37, 44]")
    said = "not beside it" if what == "file" else "another validation has chosen them"
    with pytest.warns(UserWarning, match=said):
        train_recipe(smoke(photos, tmp_path / "two", *changes), resume=tmp_path / "one/checkpoints/last.ckpt")
    kept = state(tmp_path / "two/checkpoints/best.ckpt")
    assert float(kept["callbacks"][key]["best_model_score"]) > -99 and kept["global_step"] == 6


# BPG's own curve


def test_curves_are_measured_again_where_a_network_or_a_photo_has_changed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    config = smoke(tmp_path / "photos", tmp_path / "run", "optimiser.steps=1")
    curves = tmp_path / "run/baseline.json"
    train_recipe(config)
    first = curves.read_text()
    train_recipe(config)
    assert curves.read_text() == first
    real = training_nets.classifier

    def other() -> torch.nn.Module:
        network = real()
        with torch.no_grad():
            next(network.parameters()).mul_(1.5)
        return network

    monkeypatch.setattr(training_nets, "classifier", other)
    train_recipe(config)
    second = curves.read_text()
    assert json.loads(second)["curves"] != json.loads(first)["curves"]
    photo = next((tmp_path / "photos").rglob("*.png"))
    Image.open(photo).rotate(180).save(photo)
    train_recipe(config)
    assert json.loads(curves.read_text())["conditions"] != json.loads(second)["conditions"]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_filter_that_does_nothing_saves_nothing(photos: Path, tmp_path: Path, precision: str) -> None:
    """In mixed precision too: BPG's curve and the recipe's are measured in the same."""
    changes = [f"trainer.precision={precision}", "optimiser.learning_rate=1e-12", "optimiser.steps=1"]
    train_recipe(smoke(photos, tmp_path, *changes))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [event.value for event in events.Scalars("val/bd_rate")] == [pytest.approx(0, abs=0.05)]


def test_one_qp_alone_can_be_trained(photos: Path, tmp_path: Path) -> None:
    changes = ("trade_off={pairs: [[34, 2.0]]}", "optimiser.steps=1")
    train_recipe(smoke(photos, tmp_path, *changes))
    curve = json.loads((tmp_path / "baseline.json").read_text())["curves"]["training"]
    assert curve["qps"][0] <= 30 and curve["qps"][-1] >= 38


def test_what_a_run_is_about(photos: Path, tmp_path: Path) -> None:
    """The filter where nothing else was trained, whatever an earlier run has left in the folder."""
    recipe = tmp_path / "recipe.safetensors"
    (tmp_path / "preprocessor.safetensors").write_bytes(b"earlier")
    restorer = "restorer={width: 8, depth: 1, edge_width: 4}"
    for changes, name in (
        ((), "preprocessor.safetensors"),
        ((restorer,), "recipe.safetensors"),
        ((restorer, "preprocessor=null"), "recipe.safetensors"),
        (("scale=0.5",), "recipe.safetensors"),
        (("preprocessor.train=false", "optimiser.steps=0"), "recipe.safetensors"),
    ):
        assert made_by(smoke(photos, tmp_path, *changes), recipe).name == name, changes
