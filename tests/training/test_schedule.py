"""The learning rate, the average of the weights, the strip, and checkpoints that are whole."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from npp.training.recipe_model import TrainedBatch, change_strip
from npp.training.schedule import AtomicCheckpointIO, averaged, build_optimiser, rate_factor
from npp.training.train_config import (
    OptimiserConfig,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def test_rate_rises_and_falls() -> None:
    config = OptimiserConfig(steps=100, warmup=10, final=0.1)
    rates = [rate_factor(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.55) and rates[100] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_single_numbers_do_not_decay() -> None:
    layer = torch.nn.Linear(3, 2)
    groups = build_optimiser([(layer, 0.5)], OptimiserConfig(weight_decay=0.5)).param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.5), (1, 0.0)]
    assert groups[0]["params"][0] is layer.weight
    assert groups[0]["lr"] == 0.5 * OptimiserConfig().learning_rate


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
    coded = TrainedBatch(x, x + 0.05, None, x - 0.1, torch.zeros(2))
    picture = change_strip(x, coded)
    assert picture.shape == (3, 2 * 12, 4 * 12)
    centres = picture[0, 4::12, 4::12]
    torch.testing.assert_close(centres, torch.tensor([[0.5, 0.55, 0.4, 0.9]] * 2))
    with_map = change_strip(x, coded._replace(qp_map=torch.tensor([[[3.0]], [[-6.0]]])))
    torch.testing.assert_close(with_map[:, :, :48], picture)
    assert with_map[0, 4::12, 52].tolist() == [0.75, 0.0]


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


def test_an_average_goes_to_other_processes() -> None:
    """As Lightning's strategy ddp_spawn sends it."""
    model, decay = torch.nn.Linear(2, 1), 0.9
    sent = pickle.loads(pickle.dumps(averaged(model, decay)))
    own = averaged(model, decay)
    other = torch.nn.Linear(2, 1)
    for one in (own, sent):
        one.update_parameters(model)
        one.update_parameters(other)
    assert torch.equal(own.module.weight, sent.module.weight)
    assert not torch.equal(own.module.weight, model.weight)
