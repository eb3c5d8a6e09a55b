"""The optimiser and its learning rate."""

from __future__ import annotations

import pytest
import torch

from npp.training.schedule import build_optimiser, rate_factor
from npp.training.train_config import OptimiserConfig


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
