"""The average of the weights."""

from __future__ import annotations

import pickle

import pytest
import torch

from npp.training.weight_average import averaged

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


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
