"""What a filter learns first: to give the picture back, or to do what another does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_runs import pictures, smoke

import npp
from npp.config.typed import fill
from npp.config.yaml_files import ConfigError
from npp.training.train_config import TrainConfig
from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def error(network: npp.Preprocessor) -> float:
    x = pictures(2, 64)
    with torch.no_grad():
        return float((network.eval()(x, 35) - x).square().mean())


def test_the_published_network_begins_with_the_picture(photos: Path, tmp_path: Path) -> None:
    unet = "preprocessor={network: unet, width: 4, pretraining: {steps: 60, batch: 2, learning_rate: 0.01}}"
    config = smoke(photos, tmp_path, unet, "optimiser.steps=1", "optimiser.learning_rate=1e-9")
    torch.manual_seed(config.seed)
    untrained = error(npp.Preprocessor("unet", width=4))
    train_recipe(config)
    pretrained = npp.Preprocessor.load(tmp_path / "pretrained.safetensors")
    assert error(pretrained) < 0.5 * untrained
    told = json.loads((tmp_path / "pretraining.json").read_text())
    assert told["steps"] == 60 and 0 < told["mse"] < untrained
    # What the codec's training begins with, and what is averaged and kept, is this filter.
    after = npp.Preprocessor.load(tmp_path / "preprocessor.safetensors")
    for name, value in pretrained.named_parameters():
        torch.testing.assert_close(dict(after.named_parameters())[name], value, rtol=0, atol=1e-5)


def test_the_pretraining_has_the_precision_of_the_training_and_tells_of_each_step(
    photos: Path, tmp_path: Path
) -> None:
    unet = "preprocessor={network: unet, width: 4, pretraining: {steps: 5, batch: 2, learning_rate: 0.01}}"
    stages: dict[str, list[int]] = {}

    def stage(name: str, total: int) -> Callable[[int], None]:
        stages[name] = [total]
        return stages[name].append

    left = {}
    for precision in ("32-true", "bf16-mixed"):
        out = tmp_path / precision
        config = smoke(photos, out, unet, "optimiser.steps=0", f"trainer.precision={precision}")
        torch.manual_seed(0)
        train_recipe(config, stage=stage)
        left[precision] = json.loads((out / "pretraining.json").read_text())["mse"]
        assert stages.pop("pretraining the filter") == [5, 1, 1, 1, 1, 1]
    assert left["bf16-mixed"] != left["32-true"]
    assert left["bf16-mixed"] == pytest.approx(left["32-true"], rel=0.1)


def test_a_filter_that_stays_has_no_pretraining(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"preprocessor\.pretraining needs train"):
        smoke(photos, tmp_path, "preprocessor={train: false, pretraining: {steps: 2}}")


def test_a_narrow_filter_imitates_the_wide_one_of_a_recipe(photos: Path, tmp_path: Path) -> None:
    """No step through the codec: what is kept is the pretraining's."""
    narrow = (
        "preprocessor={network: gains, width: 8, depth: 1, "
        "pretraining: {steps: 60, batch: 4, learning_rate: 0.01, teacher: classification}}"
    )
    config = smoke(photos, tmp_path, narrow, "optimiser.steps=0")
    kept = npp.Recipe.load(train_recipe(config)).preprocessor
    teacher = npp.Recipe.load("classification").preprocessor
    assert kept is not None and teacher is not None
    assert kept.settings["width"] == 8
    x = pictures(2, 64)
    with torch.no_grad():
        wanted = teacher(x, 40)
        missed, change = ((a - wanted).square().mean() for a in (kept(x, 40), x))
    assert missed < 0.2 * change
    told = json.loads((tmp_path / "pretraining.json").read_text())
    assert told["teacher"] == "classification" and 0 < told["relative_mse"] < 0.5


def test_no_task_is_asked_where_nothing_is_trained_or_chosen_by_one(photos: Path, tmp_path: Path) -> None:
    filter_ = "preprocessor={width: 8, depth: 1, pretraining: {steps: 1, batch: 2, teacher: classification}}"
    config = smoke(photos, tmp_path, filter_, "optimiser.steps=0", "tasks=[]")
    assert npp.Recipe.load(train_recipe(config)).preprocessor is not None
    given = {key: value for key, value in config.as_mapping().items() if key != "tasks"}
    assert fill(TrainConfig, given) == config
    with pytest.raises(ConfigError, match=r"^tasks must name .* optimiser\.steps trains for them"):
        smoke(photos, tmp_path, filter_, "optimiser.steps=1", "tasks=[]")
    with pytest.raises(ConfigError, match=r"^tasks must name .* choose asks them"):
        smoke(photos, tmp_path, filter_, "optimiser.steps=0", "tasks=[]", "choose={}")


def test_an_imitation_of_the_same_size_begins_as_its_teacher(photos: Path, tmp_path: Path) -> None:
    teacher = npp.Recipe.load("classification").preprocessor
    assert teacher is not None
    width, depth = teacher.settings["width"], teacher.settings["depth"]
    same = (
        f"preprocessor={{network: gains, width: {width}, depth: {depth}, "
        "pretraining: {steps: 1, batch: 1, learning_rate: 1e-9, teacher: classification}}"
    )
    train_recipe(smoke(photos, tmp_path, same, "optimiser.steps=0"))
    began = dict(npp.Preprocessor.load(tmp_path / "pretrained.safetensors").named_parameters())
    for name, value in teacher.named_parameters():
        torch.testing.assert_close(began[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("teacher", "why"), [("detection", "a recipe with a filter; detection has none"), ("nothing", "nothing")]
)
def test_a_teacher_that_cannot_teach_is_named(photos: Path, tmp_path: Path, teacher: str, why: str) -> None:
    asked = f"preprocessor={{network: gains, pretraining: {{steps: 1, teacher: {teacher}}}}}"
    with pytest.raises(ConfigError, match=rf"preprocessor\.pretraining\.teacher.*{why}"):
        train_recipe(smoke(photos, tmp_path, asked, "optimiser.steps=0"))


def test_a_run_that_goes_on_needs_no_teacher(photos: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.safetensors"
    npp.Recipe.load("classification").save(teacher)
    asked = f"preprocessor={{network: gains, width: 8, pretraining: {{steps: 1, teacher: {teacher}}}}}"
    train_recipe(smoke(photos, tmp_path, asked, "optimiser.steps=1"))
    teacher.unlink()
    longer = smoke(photos, tmp_path, asked, "optimiser.steps=2")
    assert train_recipe(longer, resume=tmp_path / "checkpoints/last.ckpt").is_file()


def test_a_quick_run_pretrains_for_one_step(photos: Path, tmp_path: Path) -> None:
    asked = "preprocessor={network: gains, width: 8, pretraining: {steps: 100000, teacher: classification}}"
    train_recipe(smoke(photos, tmp_path, asked, "optimiser.steps=0"), fast_dev_run=True)
    assert json.loads((tmp_path / "fast-dev-run" / "pretraining.json").read_text())["steps"] == 1
