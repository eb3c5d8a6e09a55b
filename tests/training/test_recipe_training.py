"""Filter and map trained together, or each alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_runs import exponential, pictures, run_until_power_cut, smoke, state

import npp
from npp.training.baseline import Curve
from npp.training.draws import Photos, Sample
from npp.training.lightning_module import RecipeModule
from npp.training.rate_fit import Baseline
from npp.training.recipe_model import build_recipe, code_batch
from npp.training.train_config import TrainConfig
from npp.training.training_run import train_recipe

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own
CORNER = "tasks=[{name: classification, model: 'python:training_nets:corner'}]"
PIXELS = "tasks=[{name: match, model: 'python:training_nets:upper'}]"
MAP = "allocator={width: 8, depth: 1, heads: [one], rate: 1}"


def batch_of(count: int, *, size: int = 64) -> Sample:
    qp = torch.tensor([32, 38] * count)[:count]
    return Sample(pictures(count, size), qp, torch.arange(count), torch.full((count,), -1))


def descended(config: TrainConfig, steps: int, lr: float) -> tuple[RecipeModule, list[float]]:
    """A module after a few steps on one batch, and the totals before each."""
    torch.manual_seed(0)
    module = RecipeModule(config, Photos(config))
    curve = Curve(exponential().qps, exponential().bpp, {"classification": exponential().losses["a"]})
    module.weights.set(Baseline(curve), {"classification": 1.0}, config.trade_off, config.loss)
    optimiser = torch.optim.Adam([p for p in module.model.parameters() if p.requires_grad], lr=lr)
    totals = []
    for _ in range(steps):
        total, _ = module.total(batch_of(2))
        totals.append(total.item())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return module, totals


def test_filter_and_map_learn_together_where_the_task_looks(photos: Path, tmp_path: Path) -> None:
    module, totals = descended(smoke(photos, tmp_path, CORNER, MAP), 12, 0.02)
    assert min(totals[-3:]) < 0.97 * totals[0]
    assert module.model.allocator is not None and module.model.preprocessor is not None
    maps = module.model.allocator(pictures(2, 64), [32, 38])
    corner = maps[:, :2, :2].mean()
    assert corner < -0.5 and maps.mean().abs() < 1e-4
    assert all(parameter.grad is not None for parameter in module.model.preprocessor.parameters())


def test_a_map_alone_leaves_the_picture(photos: Path, tmp_path: Path) -> None:
    module, totals = descended(smoke(photos, tmp_path, CORNER, MAP, "preprocessor=null"), 12, 0.02)
    assert min(totals[-3:]) < totals[0]
    assert module.total(batch_of(2))[1].mse.tolist() == [0, 0]


def test_a_step_in_parts_is_the_step_of_the_whole(photos: Path, tmp_path: Path) -> None:
    gradients, totals = [], []
    for parts in ("", "trainer={parts: 3}"):
        module, _ = descended(smoke(photos, tmp_path, CORNER, MAP, *filter(None, [parts])), 3, 0.02)
        module.model.zero_grad()
        total, terms = module.total(batch_of(5))
        (2 * total).backward()
        gradients.append([p.grad for p in module.model.parameters() if p.requires_grad])
        totals.append((total.item(), terms.total.mean().item()))
        assert terms.losses.shape == (5, 1) and terms.bpp.shape == (5,)
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
    for whole, parted in zip(*gradients, strict=True):
        torch.testing.assert_close(parted, whole, rtol=1e-2, atol=1e-5)


def test_bits_are_weighed_where_the_scale_puts_the_codec(photos: Path, tmp_path: Path) -> None:
    curves = {}
    for name, change in (("whole", "scale=1"), ("half", "scale=0.5")):
        train_recipe(smoke(photos, tmp_path / name, PIXELS, change, "optimiser.steps=1"))
        curves[name] = json.loads((tmp_path / name / "baseline.json").read_text())["curves"]
    whole, half = curves["whole"], curves["half"]
    assert all(h < 0.9 * w for h, w in zip(half["training"]["bpp"], whole["training"]["bpp"], strict=True))
    assert half["validation"] == whole["validation"]  # savings are told against pictures as they are


def test_many_qps_at_once_are_what_the_recipe_writes(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, MAP, "scale=0.5")
    recipe = build_recipe(config)
    assert recipe.allocator is not None
    with torch.no_grad():
        recipe.allocator.network.leave.weight.normal_(std=30)
        batch = batch_of(3)
        coded = code_batch(recipe, batch.x, batch.qp, surrogate=config.codec.build_surrogate(), threads=1)
    assert coded.x.shape[-1] == 32 and coded.x_hat.shape == batch.x.shape
    assert coded.qp_map is not None and coded.qp_map.abs().max() > 1
    expected = recipe.compress(batch.x, batch.qp)
    assert torch.equal(coded.x_hat, expected.x_hat) and torch.equal(coded.bpp, expected.bpp)


def test_run_leaves_a_recipe_and_goes_on_exactly(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = train_recipe(smoke(photos, tmp_path / "whole", MAP))
    recipe = npp.Recipe.load(path)
    assert path == tmp_path / "whole/recipe.safetensors" and recipe.name == "whole"
    assert recipe.options == {"effort": 5, "tune": "ssim"} and recipe.scale is None
    alone = npp.Preprocessor.load(path.parent / "preprocessor.safetensors").state_dict()
    assert recipe.preprocessor is not None and recipe.allocator is not None
    assert all(torch.equal(alone[name], tensor) for name, tensor in recipe.preprocessor.state_dict().items())
    assert bool(recipe.allocator.network.leave.weight.any())  # it began with zeros
    cut = smoke(photos, tmp_path / "cut", MAP)
    run_until_power_cut(cut, 3, monkeypatch)
    last = tmp_path / "cut/checkpoints/last.ckpt"
    assert state(last)["global_step"] == 2
    train_recipe(cut, resume=last)
    whole, continued = (
        state(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("whole", "cut")
    )
    assert all(torch.equal(tensor, continued[name]) for name, tensor in whole.items())


def test_rates_of_the_parts_differ(photos: Path, tmp_path: Path) -> None:
    config = smoke(photos, tmp_path, "allocator={width: 8, depth: 1, rate: 0.25}")
    module = RecipeModule(config, Photos(config))
    groups = module.configure_optimizers()["optimizer"].param_groups
    highest = config.optimiser.learning_rate
    assert [group["initial_lr"] for group in groups] == [highest, highest, highest / 4, highest / 4]


def test_what_is_not_trained_stays(photos: Path, tmp_path: Path) -> None:
    start = npp.Allocator(width=8, depth=1, heads=("one", "two"))
    with torch.no_grad():
        start.network.leave.weight.normal_(std=0.3)
    weights = tmp_path / "start.safetensors"
    start.save(weights)
    frozen = f"allocator={{start: {weights}, train: false, strength: 0.25, mix: {{two: 1}}}}"
    path = train_recipe(smoke(photos, tmp_path / "filter", frozen), fast_dev_run=True)
    recipe = npp.Recipe.load(path)
    assert recipe.allocator is not None
    assert recipe.allocator.settings.strength == 0.25 and recipe.allocator.settings.mix == {"two": 1.0}
    stored = recipe.allocator.network.state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in start.network.state_dict().items())
    warm = f"allocator.start={weights}"
    path = train_recipe(smoke(photos, tmp_path / "map", "preprocessor=null", warm), fast_dev_run=True)
    assert not (path.parent / "preprocessor.safetensors").exists()
    recipe = npp.Recipe.load(path)
    assert recipe.preprocessor is None and recipe.allocator is not None
    now = recipe.allocator.network.leave.weight
    assert not torch.equal(now, start.network.leave.weight)
