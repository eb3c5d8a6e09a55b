"""A restorer is trained behind the real codec, alone or with what stands in front of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_runs import smoke

import npp
from npp.config.yaml_files import ConfigError
from npp.training.recipe_model import build_restorer
from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own
SMALL = "restorer={width: 8, depth: 1, edge_width: 4}"
FILTER = "preprocessor={network: gains, width: 8, depth: 1}"


def test_it_is_trained_alone(photos: Path, tmp_path: Path) -> None:
    recipe = npp.Recipe.load(
        train_recipe(smoke(photos, tmp_path, SMALL, "preprocessor=null", "loss.w_hat=1"))
    )
    assert recipe.preprocessor is None
    assert recipe.restorer is not None
    assert recipe.restorer.settings == {"width": 8, "depth": 1, "edge_width": 4, "upscale": 1}
    x = torch.rand(1, 3, 48, 48)
    assert not torch.equal(recipe.restorer(x), x)


def test_it_is_still_there_after_size_and_map_were_chosen(photos: Path, tmp_path: Path) -> None:
    config = smoke(
        photos, tmp_path, SMALL, FILTER, "choose={photos: 2, qps: [30, 40], scales: {factors: [1]}}"
    )
    recipe = npp.Recipe.load(train_recipe(config))
    assert (tmp_path / "choice.json").exists()
    assert recipe.restorer is not None
    assert recipe.restorer.settings == {"width": 8, "depth": 1, "edge_width": 4, "upscale": 1}


def test_it_is_trained_with_a_filter_and_goes_on(photos: Path, tmp_path: Path) -> None:
    first = npp.Recipe.load(train_recipe(smoke(photos, tmp_path / "a", SMALL, FILTER)))
    start = f"restorer={{start: {tmp_path / 'a' / 'recipe.safetensors'}, train: false}}"
    then = npp.Recipe.load(train_recipe(smoke(photos, tmp_path / "b", start, FILTER)))
    assert first.restorer is not None
    assert then.restorer is not None
    kept, before = then.restorer.state_dict(), first.restorer.state_dict()
    assert all(torch.equal(kept[name], before[name]) for name in before)


def test_what_cannot_be_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.parts must be 1 where a restorer is trained, not 2"):
        smoke(photos, tmp_path, SMALL, "trainer.parts=2")
    with pytest.raises(ConfigError, match=r"restorer: width must be .* 8 to 256, not 2"):
        train_recipe(smoke(photos, tmp_path, "restorer={width: 2}"))
    npp.Restorer(width=16, depth=1, edge_width=4).save(tmp_path / "own.safetensors")
    own = smoke(
        photos, tmp_path, f"restorer={{start: {tmp_path / 'own.safetensors'}, train: false}}"
    ).restorer
    assert own is not None and build_restorer(own).settings["width"] == 16
    with pytest.raises(ConfigError, match="start must be a recipe with a restorer; detection has none"):
        train_recipe(smoke(photos, tmp_path, "restorer={start: detection}"))


def test_a_filter_can_begin_as_a_recipes(photos: Path, tmp_path: Path) -> None:
    start = "preprocessor={start: 'recipe:classification', train: false}"
    recipe = npp.Recipe.load(train_recipe(smoke(photos, tmp_path, SMALL, start)))
    shipped = npp.Recipe.load("classification").preprocessor
    assert recipe.preprocessor is not None
    assert shipped is not None
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(recipe.preprocessor(x, 37), shipped(x, 37))
    with pytest.raises(ConfigError, match="start must be a recipe with a filter; detection has none"):
        train_recipe(smoke(photos, tmp_path, SMALL, "preprocessor={start: 'recipe:detection', train: false}"))
