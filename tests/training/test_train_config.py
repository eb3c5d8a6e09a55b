"""The configuration of a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import ROOT, SMALL_TASK, smoke

import npp
from npp.config.typed import fill, plain
from npp.config.yaml_files import ConfigError, as_yaml
from npp.evaluation.evaluate_config import Analysis
from npp.evaluation.judges import JudgeConfig
from npp.gradient.surrogates.hyperprior import HyperpriorConfig
from npp.training.allocator_config import LabelTaskConfig
from npp.training.choice_config import ChoiceConfig
from npp.training.draws import Photos
from npp.training.lightning_module import RecipeModule
from npp.training.parts_config import AllocatorConfig, CodecConfig, PreprocessorConfig, RestorerConfig
from npp.training.recipe_model import build_recipe
from npp.training.train_config import (
    DataConfig,
    LossConfig,
    OptimiserConfig,
    TaskConfig,
    TradeOffConfig,
    TrainConfig,
    TrainerConfig,
    ValidationConfig,
    load_config,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


CONFIGS = [
    path
    for path in sorted((ROOT / "configs").glob("*.yaml"))
    if not path.stem.startswith(("evaluate", "allocator"))
]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.stepz=3", r"optimiser\.stepz is not known; allowed are batch, clip, ema"),
        ("optimiser.steps=ten", r"optimiser\.steps must be an integer, not 'ten'"),
        ("optimiser.steps=-1", r"optimiser\.steps must be at least 0, not -1"),
        ("data.workers=100000", r"^.*data\.workers must be an integer from 0 to 256, not 100000$"),
        ("data.size=1000000", r"data\.size is too large, not 1000000: "),
        ("codec.threads=5000", r"codec\.threads must be an integer from 1 to 4096, not 5000"),
        ("optimiser.batch=1000000", r"optimiser\.batch must be an integer from 1 to 65536, not 1000000"),
        ("validation.batch=1000000", r"validation\.batch must be an integer from 1 to 65536, not 1000000"),
        ("preprocessor.pretraining.batch=1000000", r"pretraining\.batch must be an integer from 1 to 65536"),
        ("baseline.points=1000000000", r"baseline\.points must be an integer from 3 to 52, not 1000000000"),
        ("trainer.parts=5000", r"trainer\.parts must be an integer from 1 to 1024, not 5000"),
        ("optimiser.ema=1", r"optimiser\.ema must be below 1, not 1\.0"),
        ("codec.effort=12", r"codec\.effort must be an integer from 0 to 9, not 12"),
        ("codec.floor=2", r"codec\.floor must be a number from 0 to 1, not 2\.0"),
        ("codec.effrt=1", r"codec\.effrt is not known; allowed are .*effort.*surrogate"),
        ("codec.surrogate=magic", r"codec\.surrogate must be one of .*'gated'.*not 'magic'"),
        ("trade_off.qps=[28]", r"^trade_off\.qps must be a list of 2 entries or null, not \[28\]$"),
        ("trade_off.pairs=published", r"trade_off\.qps and pairs exclude each other"),
        ("trade_off={pairs: [[60, 1]]}", r"trade_off\.pairs must be integers from 0 to 51, not 60"),
        ("trade_off={pairs: best}", r"trade_off\.pairs must be published or a list or null, not 'best'"),
        (
            "trade_off={pairs: [[34, -2.0]]}",
            r"trade_off\.pairs must have λ above 0 and finite, not -2\.0 at qp 34",
        ),
        (
            "trade_off={pairs: [[30, 1], [40, 3], [30, 2]]}",
            r"trade_off\.pairs must have each qp once, not 30 2 times",
        ),
        (
            "trade_off={pairs: published, slope_factor: 7}",
            r"trade_off\.slope_factor goes with qps, not with pairs, .*; not 7\.0",
        ),
        (
            "preprocessor.pretraining={teacher: classification}",
            r"preprocessor\.pretraining\.teacher goes with steps of 1 or more, not with 0: 'classification'",
        ),
        (
            "codec={surrogate: identity, floor: 0.5}",
            r"codec\.floor goes with surrogate gated, not with identity; not 0\.5",
        ),
        ("codec.lossless=true", r"codec\.lossless must be false in a training, not true"),
        ("seed=5000000000", r"seed must be an integer from 0 to 4294967295, not 5000000000"),
        ("data.size=0", r"data\.size must be a number or \(height, width\), 1 or more, not 0"),
        ("out=~no_such_user_here/x", r"out: .*there is no home folder of that user"),
        ("validation.qps=[30]", r"validation\.qps must be at least 2 different ones, not \[30\]"),
        ("loss.normalise=mean", r"loss\.normalise must be none or baseline, not 'mean'"),
        ("data.cache_targets=true", r"data\.cache_targets must be false where augment is true"),
        ("data.fractions=[1, 2]", r"data\.fractions must be a list of 3 entries, not \[1, 2\]"),
        ("tasks=[]", "tasks must name at least one task"),
        ("tasks.0.weight=0", r"tasks\[0\]\.weight must be above 0, not 0\.0"),
        ("trainer.precision=8", r"trainer\.precision must be 32-true or .*, not 8"),
        ("scale=1.5", r"scale must be a number from 0\.1 to 1, not 1\.5"),
        ("preprocessor=null", "preprocessor, allocator or restorer must be trained, .*: none is"),
        ("preprocessor.train=false", "preprocessor, allocator or restorer must be trained, .*: none is"),
        ("restorer={rate: 0}", r"restorer\.rate must be above 0, not 0\.0"),
        ("loss.w_hat=-1", r"w_hat must be at least 0, not -1\.0"),
        ("allocator={rate: 0}", r"allocator\.rate must be above 0, not 0\.0"),
        ("loss.w_map=-1", r"w_map must be at least 0, not -1\.0"),
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
        ("allocator={wdth: 3}", "allocator: unknown setting 'wdth'"),
        ("allocator={start: absent}", "allocator: .*absent"),
        ("allocator={mix: {absent: 1}}", "allocator: mix must be a mapping of"),
        ("data.folder=/nowhere", "/nowhere is not a folder"),
        ("data.fractions=[1, 0, 0]", r"data\.fractions \[1\.0, 0\.0, 0\.0\] leave none of 8 photos for val"),
    ],
)
def test_what_does_not_exist_is_named(photos: Path, tmp_path: Path, change: str, message: str) -> None:
    config = smoke(photos, tmp_path, change)
    with pytest.raises(ConfigError, match=message):
        RecipeModule(config, Photos(config))


def test_a_recipe_is_called_as_the_last_folder_and_knows_nothing_else_of_its_place(
    photos: Path, tmp_path: Path
) -> None:
    files = []
    for place in ("a/run", "b/run", "b/other"):
        torch.manual_seed(0)
        made = build_recipe(smoke(photos, tmp_path, f"out={tmp_path / place}"))
        made.save(tmp_path / "made.safetensors")
        assert made.name == Path(place).name
        files.append((tmp_path / "made.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


def test_a_surrogate_without_maps_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"codec\.surrogate must take a map with allocator"):
        smoke(photos, tmp_path, "codec.surrogate=hyperprior", "allocator={width: 8}")


def test_configuration_survives_a_file(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, "codec.chroma='444'")
    assert config.codec.all_options == {"effort": 0, "tune": "ssim", "chroma": "444"}
    assert fill(TrainConfig, json.loads(json.dumps(plain(config)))) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_can_be_built(
    path: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npp.Allocator(width=8, depth=1).save(tmp_path / "allocator.safetensors")
    monkeypatch.setenv("NPP_ALLOCATOR", str(tmp_path / "allocator.safetensors"))
    monkeypatch.setenv("NPP_DATA", str(photos))
    monkeypatch.setenv("NPP_MODELS", "/models")
    here = [f"data.folder={photos}", "data.fractions=[0.5, 0.5, 0]", "data.include=null"]
    config = load_config(path, here)
    names = {label.rstrip("0123456789") for label in config.labels}
    assert names <= {"classification", "detection", "segmentation", "recognition", "match"}
    small = load_config(path, [*here, SMALL_TASK])
    module = RecipeModule(small, Photos(small))
    assert (module.model.preprocessor is None) == (config.preprocessor is None)
    assert (module.model.allocator is None) == (config.allocator is None)
    assert module.model.options == config.codec.all_options


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["match", "python:own:match"], ["match1", "match2"]),
        (["match", "match", "python:own:match1"], ["match2", "match3", "match1"]),
        (["a", "a1", "a1", *["a"] * 11], ["a1", "a11", "a12", *(f"a{i}" for i in (*range(2, 11), 13, 14))]),
    ],
)
def test_labels_are_those_of_one_task_each(
    names: list[str], labels: list[str], photos: Path, tmp_path: Path
) -> None:
    tasks = ", ".join(f"{{name: '{name}'}}" for name in names)
    assert smoke(photos, tmp_path, f"tasks=[{tasks}]").labels == labels
    assert len(set(labels)) == len(labels)


def test_what_a_run_writes_of_its_settings_can_be_read(photos: Path, tmp_path: Path) -> None:
    """Defaults stand in it beside what they would not go with."""
    config = smoke(photos, tmp_path, "trade_off={pairs: published}", "codec={surrogate: identity}")
    assert fill(TrainConfig, config.as_mapping()) == config


def test_folders_may_have_a_dollar(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the name is there; it is filled in once, and what a run writes is read as it was."""
    monkeypatch.setenv("x", "wrong")
    folder = tmp_path / "p$x"
    shutil.copytree(photos, folder)
    monkeypatch.setenv("NPP_DATA", str(folder))
    for given in (str(folder).replace("$", "$$"), "${NPP_DATA}"):
        config = smoke(photos, tmp_path, f"data.folder={given}", "data.limit=3", f"out={tmp_path}/o$$x")
        assert config.data.folder == str(folder) and len(config.data.training_paths()) == 3
        assert len(Photos(config).validation) > 0
    from_python = replace(config, data=DataConfig(folder="$NPP_DATA/../p$$x", more=["${NPP_DATA}"]))
    assert (from_python.data.folder, from_python.data.more) == (f"{folder}/../p$x", [str(folder)])
    for one in (config, from_python):
        (tmp_path / "config.yaml").write_text(as_yaml(one.as_mapping()))
        assert load_config(tmp_path / "config.yaml") == one
    with pytest.raises(ValueError, match=r"^folder: \$NPP_NOT_SET: the environment variable NPP_NOT_SET is"):
        DataConfig(folder="$NPP_NOT_SET")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: OptimiserConfig(steps="a"), "steps must be an integer from 0 on, not 'a'"),
        (lambda: OptimiserConfig(batch=1.5), "batch must be an integer from 1 to 65536, not 1.5"),
        (
            lambda: OptimiserConfig(learning_rate="a"),
            "learning_rate must be a finite number above 0, not 'a'",
        ),
        (
            lambda: OptimiserConfig(learning_rate=10**400),
            "learning_rate must be a finite number above 0, not an int",
        ),
        (lambda: OptimiserConfig(clip=10**400), "clip must be a finite number from 0 on, not an int"),
        (lambda: ValidationConfig(qps=30), "qps must be a list of integers from 0 to 51, not 30"),
        (lambda: ValidationConfig(qps=(30, 2.5)), "qps must be integers from 0 to 51, not 2.5"),
        (lambda: TradeOffConfig(qps=("a", 30)), "qps must be integers from 0 to 51, not 'a'"),
        (lambda: TradeOffConfig(qps=(30, 25)), r"qps must be the lowest and the highest, not \[30, 25\]"),
        (lambda: TradeOffConfig(qps=(25, 30, 35)), "qps must be the lowest and the highest"),
        (lambda: Analysis(confidence="a"), "confidence must be a number from 0 to 1, not 'a'"),
        (lambda: LossConfig(w_pre="a"), "w_pre must be a finite number from 0 on, not 'a'"),
        (lambda: LossConfig(normalise="x"), "normalise must be one of 'none', 'baseline', not 'x'"),
        (lambda: TrainerConfig(keep="x"), "keep must be one of 'best', 'last', not 'x'"),
        (lambda: TrainerConfig(precision="bf16"), "precision must be one of .*bf16-mixed.*, not 'bf16'"),
        (lambda: HyperpriorConfig(width=-1), "width must be an integer from 1 to 4096, not -1"),
        (lambda: DataConfig(folder="p", augment="no"), "augment must be True or False, not 'no'"),
        (lambda: DataConfig(folder="p", cache_targets=1), "cache_targets must be True or False, not 1"),
        (lambda: TrainerConfig(deterministic="no"), "deterministic must be True or False, not 'no'"),
        (lambda: TrainerConfig(progress=None), "progress must be True or False, not None"),
        (lambda: PreprocessorConfig(train="no"), "train must be True or False, not 'no'"),
        (lambda: AllocatorConfig(train="no"), "train must be True or False, not 'no'"),
        (lambda: RestorerConfig(train="no"), "train must be True or False, not 'no'"),
        (lambda: LabelTaskConfig(name="match", optional="no"), "optional must be True or False, not 'no'"),
        (lambda: JudgeConfig(name="match", metrics="no"), "metrics must be True or False, not 'no'"),
        (lambda: HyperpriorConfig(residual="no"), "residual must be True or False, not 'no'"),
    ],
)
def test_settings_that_python_gives_are_checked_too(made: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made()


@pytest.mark.parametrize(
    ("effort", "given", "of_files"), [(0, None, 5), (7, None, 7), (0, 8, 8), (6, 2, 2)], ids=str
)
def test_a_recipe_writes_its_files_with_more_effort_than_its_training(
    effort: int, given: int | None, of_files: int
) -> None:
    codec = CodecConfig(effort=effort, recipe_effort=given)
    assert codec.all_options == {"effort": effort, "tune": "ssim"}
    assert codec.recipe_options == {"effort": of_files, "tune": "ssim"}
    with pytest.raises(ValueError, match="recipe_effort must be an integer from 0 to 9, not 10"):
        CodecConfig(recipe_effort=10)


def test_sections_that_python_gives_as_mappings_are_those_of_a_file() -> None:
    given: Any = {
        "data": {"folder": "photos"},
        "tasks": [{"name": "match", "model": "efficientnet-lite0"}],
        "optimiser": {"steps": 5},
        "preprocessor": {"pretraining": {"steps": 3}},
        "restorer": {"width": 32},
        "choose": {"scales": {"factors": [1, 0.5]}},
    }
    config = TrainConfig(**given)
    assert config == fill(TrainConfig, given, "")
    assert isinstance(config.tasks[0], TaskConfig) and config.optimiser.steps == 5
    assert config.restorer is not None and config.restorer.settings == {"width": 32}
    with pytest.raises(ConfigError, match=r"optimiser\.step is not known; .* did you mean 'steps'"):
        TrainConfig(**{**given, "optimiser": {"step": 5}})
    with pytest.raises(ConfigError, match="optimiser must be"):
        TrainConfig(**{**given, "optimiser": 5})


def test_qps_are_kept_as_the_checks_give_them() -> None:
    """Rising, each once, and Python's own integers, whatever they were given as."""
    numpys: Any = np.array([44, 30, 37, 30])
    assert [type(qp) for qp in ChoiceConfig(qps=tuple(numpys)).qps or ()] == [int, int, int]
    assert ChoiceConfig(qps=numpys.tolist()).qps == ValidationConfig(qps=tuple(numpys)).qps == (30, 37, 44)
    ends: Any = [np.int64(25), np.int64(44)]
    kept = TradeOffConfig(qps=ends).qps
    assert kept == (25, 44)
    assert [type(qp) for qp in kept or ()] == [int, int]


class _OwnSection(ChoiceConfig):
    """Somebody's."""


def test_a_subclass_of_a_section_is_one() -> None:
    given: Any = {"data": {"folder": "photos"}, "tasks": [{"name": "match"}]}
    own = _OwnSection()
    assert TrainConfig(**given, choose=own).choose is own
    with pytest.raises(ConfigError, match="choose must be keys and values, not 5"):
        TrainConfig(**given, choose=5)


@pytest.mark.parametrize("kind", [JudgeConfig, LabelTaskConfig])
def test_a_network_in_memory_is_called_by_its_class(kind: Any) -> None:
    assert kind("classification", settings={"model": torch.nn.Sequential()}).label == "Sequential"
    assert kind("classification", settings={"model": "mine"}).label == "mine"
    assert kind("classification").label == "classification"


def test_what_python_gives_is_written_where_there_are_words_for_it() -> None:
    given = {
        "mean": np.array([0.5, 1]),
        "std": torch.tensor(2.0),
        "names": {"b", "a"},
        "kind": torch.float16,
        "where": Path("a/b"),
        "network": torch.nn.Identity(),
    }
    assert plain(given) == {
        "mean": [0.5, 1],
        "std": 2,
        "names": ["a", "b"],
        "kind": "torch.float16",
        "where": "a/b",
        "network": "torch.nn.modules.linear.Identity given from Python",
    }
