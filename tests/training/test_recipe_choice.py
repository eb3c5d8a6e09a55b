"""What is chosen for a recipe: the strength of its map and the sizes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from small_runs import pictures, smoke
from torch import nn
from training_nets import lower, upper

import npp
from npp.config.yaml_files import ConfigError
from npp.recipes import ScaleRule
from npp.tasks import Task
from npp.tasks.match import Match
from npp.training import ChoiceConfig, ScaleChoices, choose_recipe, load_config, train_recipe
from npp.training.baseline import Curve
from npp.training.draws import Photos
from npp.training.recipe_choice import Candidate, MapSetting, best_sizes

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own
QPS = (28, 34, 40)
UNKNOWN = math.inf


def allocator(slope: float) -> npp.Allocator:
    """Its importance falls by ``slope`` octaves from the top of a picture to the bottom, and nothing else."""
    made = npp.Allocator(width=8, depth=1, heads=["one"]).eval()
    enter = made.network.enter
    with torch.no_grad():
        enter.weight.zero_()
        enter.bias.fill_(1.0)
        enter.weight[:, -4] = -1.0  # of the plane that says how high a block is
        made.network.leave.weight.fill_(slope / 2 / 8)
    return made


def recipe(slope: float | None = None) -> npp.Recipe:
    return npp.Recipe(
        "r",
        allocator=None if slope is None else allocator(slope),
        options={"effort": 0},
        qp=33,
        card="A card.",
    )


def test_the_map_of_the_allocator_is_the_one_that_the_tests_mean() -> None:
    maps = allocator(6.0)(pictures(1, 64), 34)[0]
    assert torch.allclose(maps.mean(1), torch.tensor([-3.375, -1.125, 1.125, 3.375]), atol=1e-3)


def test_a_map_wins_where_the_task_looks_at_one_half() -> None:
    choices = ChoiceConfig(strengths=(0.25, 0.5))
    found = choose_recipe(recipe(8.0), pictures(4, 64), Match(upper()), choices, qps=QPS, threads=1)
    assert found.photos == 4 and [one.setting.strength for one in found.candidates] == [None, 0.25, 0.5]
    assert found.chosen in (1, 2)
    best = found.candidates[found.chosen]
    assert best.bd_rate < -5 and best.bd_rate == min(one.bd_rate for one in found.candidates)
    assert found.recipe.allocator is not None
    assert found.recipe.allocator.settings.strength == best.setting.strength
    assert found.recipe.qp == 33 and found.recipe.options == {"effort": 0}
    assert found.candidates[0].bd_rate == pytest.approx(0, abs=1e-6)  # nothing but the codec


def test_no_map_wins_where_it_takes_the_bits_from_what_counts() -> None:
    given = recipe(8.0)
    tasks = {"wrong": Match(lower())}
    found = choose_recipe(given, pictures(4, 64), tasks, ChoiceConfig(strengths=(0.5,)), qps=QPS, threads=1)
    assert found.chosen == 0 and found.recipe.allocator is None
    assert found.candidates[1].bd_rate > 5
    assert given.allocator is not None  # the given recipe stays


def test_tasks_that_want_the_opposite_are_weighed_in_the_log_domain() -> None:
    curve = Curve([1], [1.0], {"a": [1.0]})
    halved = Candidate(MapSetting(1, 6), None, curve, {"a": -50.0, "b": 100.0})
    assert halved.bd_rate == pytest.approx(0, abs=1e-9)
    tasks: dict[str, Task] = {"upper": Match(upper()), "lower": Match(lower())}
    found = choose_recipe(
        recipe(8.0), pictures(4, 64), tasks, ChoiceConfig(strengths=(0.5,)), qps=QPS, threads=1
    )
    rates = found.candidates[1].bd_rates
    assert rates["upper"] < -5 and rates["lower"] > 5
    expected = math.sqrt((1 + rates["upper"] / 100) * (1 + rates["lower"] / 100))
    assert found.candidates[1].bd_rate == pytest.approx(100 * (expected - 1))


def test_a_size_that_keeps_what_the_task_sees_is_chosen_and_one_that_loses_it_is_not() -> None:
    choices = ChoiceConfig(scales=ScaleChoices((0.5, 0.1)))
    photos = list(pictures(3, 96))
    seen = choose_recipe(recipe(), photos, Match(nn.AvgPool2d(4)), choices, qps=QPS, threads=1)
    assert seen.recipe.scale is not None and set(seen.recipe.scale.factors.values()) == {0.5}
    assert seen.chosen == 0 and seen.candidates[0].bd_rate < -5
    assert [one.factor for one in seen.measured] == [1.0, 0.5, 0.1]
    lost = seen.measured[2]
    assert all(offset > 0 for offset in lost.offsets)
    assert min(lost.curve.losses["match"]) > max(seen.plain.losses["match"])


def test_the_recipe_keeps_its_own_size_where_none_is_to_be_chosen() -> None:
    given = recipe()
    given.scale = ScaleRule({30: 0.5}, input_size=64)
    found = choose_recipe(given, pictures(2, 64), Match(nn.AvgPool2d(4)), ChoiceConfig(), qps=QPS, threads=1)
    assert found.recipe.scale == given.scale and [one.factor for one in found.measured] == [None]


def test_what_stands_behind_the_decoder_stays_and_is_measured() -> None:
    given = recipe(8.0)
    given.restorer = npp.Restorer(width=8, depth=1, edge_width=4).eval()
    with torch.no_grad():
        for parameter in given.restorer.parameters():
            parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    choices, tasks = ChoiceConfig(strengths=(0.5,)), Match(upper())
    found = choose_recipe(given, pictures(2, 64), tasks, choices, qps=QPS, threads=1)
    assert found.recipe.restorer is given.restorer
    bare = choose_recipe(given.changed(restorer=None), pictures(2, 64), tasks, choices, qps=QPS, threads=1)
    assert bare.recipe.restorer is None
    assert bare.plain == found.plain
    for mine, without in zip(found.measured, bare.measured, strict=True):
        assert mine.curve.bpp == without.curve.bpp
        assert mine.curve.losses["match"] != without.curve.losses["match"]


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([[0, -0.1], [0, -0.2]], [1, 1]),
        ([[0, 0.1], [0, -0.2]], [0, 1]),
        ([[0, -0.1], [0, 0.3]], [0, 0]),  # a size does not grow again: a little is given up for more
        ([[0, -0.3], [0, 0.1]], [1, 1]),
        ([[0, 0, 0], [0, 0, 0]], [0, 0]),  # as large as may be
        ([[0, UNKNOWN], [0, UNKNOWN]], [0, 0]),
        ([[0.1, UNKNOWN], [0.1, UNKNOWN]], [0, 0]),  # what is unknown is no gain
        ([[0, -0.2], [0, UNKNOWN]], [1, 1]),
        ([[0, 0.1, 0.2], [0, -0.1, 0.1], [0, -0.1, -0.5]], [0, 1, 2]),
        ([[UNKNOWN, UNKNOWN]], None),
    ],
)
def test_sizes_fall_with_the_qp_and_save_the_most(
    offsets: list[list[float]], expected: list[int] | None
) -> None:
    assert best_sizes(offsets) == expected


def test_nothing_is_chosen_where_nothing_can_be_compared() -> None:
    given = recipe()
    flat = torch.full((1, 3, 32, 32), 0.5)  # coded exactly at every qp: no loss anywhere
    with pytest.warns(UserWarning, match="nothing was chosen"):
        found = choose_recipe(given, flat, Match(upper()), qps=QPS, threads=1)
    assert found.recipe is given and found.chosen is None
    json.dumps(found.as_mapping(), allow_nan=False)


def test_wrong_choices_are_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tasks must not be empty"):
        choose_recipe(recipe(), pictures(1, 32), {})
    with pytest.raises(ValueError, match="photos must not be empty"):
        choose_recipe(recipe(), [], Match(upper()))
    with pytest.raises(ValueError, match=r"photos must be \(N, 3, H, W\) or \(3, H, W\), not \(3,\)"):
        choose_recipe(recipe(), torch.zeros(3), Match(upper()))
    with pytest.raises(ValueError, match="qps must be at least 2 different ones"):
        choose_recipe(recipe(), pictures(1, 32), Match(upper()), qps=[30])
    for change, message in (
        ("choose.strengths=[20]", r"choose\.strengths must be a number from 0 to 16, not 20\.0"),
        ("choose.limits=[]", r"choose\.limits must hold a number"),
        ("choose.strengths=[]", r"choose\.strengths must hold a number from 0 to 16, not \[\]"),
        ("choose.scales.factors=[]", r"choose\.scales\.factors must hold a number from 0\.1 to 1, not \[\]"),
        (
            "choose.scales.factors=[0.01]",
            r"choose\.scales\.factors must be a number from 0\.1 to 1, not 0\.01",
        ),
        ("choose.scales.sizes=[1]", r"choose\.scales\.sizes is not known"),
        ("choose.qps=[30]", r"choose\.qps must be at least 2"),
    ):
        with pytest.raises(ConfigError, match=message):
            smoke(photos, tmp_path, change)


UPPER = "tasks=[{name: match, model: 'python:training_nets:upper'}]"


def test_a_run_chooses_and_tells_where_its_result_is_used(photos: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    allocator(8.0).save(start)
    config = smoke(
        photos,
        tmp_path / "run",
        UPPER,
        "preprocessor=null",
        f"allocator={{start: {start}, rate: 0.001}}",
        "choose={strengths: [0.5], scales: {factors: [0.5]}, photos: 2}",
        "optimiser.steps=1",
    )
    told: list[tuple[str, int]] = []
    done: list[int] = []
    path = train_recipe(config, stage=lambda name, total: told.append((name, total)) or done.append)
    assert sum(done) == told[0][1] == 2 * 5  # the plain codec, and two maps at two sizes
    found = json.loads((path.parent / "choice.json").read_text())
    assert found["photos"] == 2 and len(found["candidates"]) == 2 and len(found["measured"]) == 4
    best = found["candidates"][found["chosen"]]
    loaded = npp.Recipe.load(path)
    assert loaded.allocator is not None and loaded.allocator.settings.strength == best["strength"] == 0.5
    assert f"{best['bd_rate']:+.1f} %" in loaded.card and "Others that were tried:" in loaded.card
    assert load_config(path.parent / "config.yaml").choose == config.choose


def test_without_steps_a_run_chooses_for_what_it_starts_with(photos: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    allocator(8.0).save(start)
    config = smoke(
        photos,
        tmp_path / "run",
        UPPER,
        "preprocessor=null",
        f"allocator={{start: {start}, train: false}}",
        "choose={strengths: [0.25, 0.5]}",
        "optimiser.steps=0",
        "validation.batch=1",
    )
    path = train_recipe(config)
    assert not (path.parent / "baseline.json").exists()
    expected = choose_recipe(
        npp.Recipe("run", allocator=npp.Allocator.load(start), options={"effort": 0, "tune": "ssim"}),
        config.data.load(Photos(config).validation),
        Match(upper()),
        ChoiceConfig(strengths=(0.25, 0.5)),
        qps=config.validation.qps,
    )
    found = json.loads((path.parent / "choice.json").read_text())
    assert found["chosen"] == expected.chosen
    rates = [one["bd_rate"] for one in found["candidates"]]
    assert rates == pytest.approx([one.bd_rate for one in expected.candidates], abs=1e-3)
    stored = npp.Recipe.load(path).allocator
    assert stored is not None and torch.equal(
        stored.network.leave.weight, npp.Allocator.load(start).network.leave.weight
    )
    with pytest.raises(ValueError, match=r"or optimiser\.steps be 0"):
        dataclasses.replace(config, optimiser=dataclasses.replace(config.optimiser, steps=1))
