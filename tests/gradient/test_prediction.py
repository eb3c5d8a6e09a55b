"""keep_prediction: networks that it cannot ask are named; numpy's integers are steps of refine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pictures import pictures
from torch import Tensor, nn

import npp


@pytest.mark.parametrize(
    ("output", "error", "text"),
    [
        (lambda x: {"out": x, "aux": x}, TypeError, "not dict of out, aux; a function that picks them out"),
        (lambda x: (x, x), TypeError, "not tuple; "),
        (lambda x: x.argmax(1), TypeError, "not torch.int64; "),
        (lambda x: x.mean((1, 2, 3)), ValueError, r"of 2 pictures, not \(2,\)"),
        (lambda x: x[:1], ValueError, r"of 2 pictures, not \(1, 3, 32, 32\)"),
    ],
)
def test_what_a_network_gives_instead_of_logits_is_named(
    output: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf"^network must give .*{text}"):
        npp.keep_prediction(output, pictures())


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.Dropout(0.5)])
def test_a_network_in_training_mode_is_named(layer: nn.Module) -> None:
    """Its statistics would change, and it would not say the same twice."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    kind = type(layer).__name__
    with pytest.raises(ValueError, match=rf"^network must be in evaluation mode, .*: its {kind} '1' is"):
        npp.keep_prediction(network, pictures())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = pictures()
    assert bool((npp.keep_prediction(network.eval(), x)(x) == 0).all())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_layers_that_are_the_same_in_training_mode_may_stay_in_it() -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Dropout(0), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert npp.keep_prediction(network, pictures())(pictures()).shape == (2,)


def test_steps_may_be_numpys() -> None:
    def task(x: Tensor) -> Tensor:
        return x.square().mean((1, 2, 3))

    found = npp.refine(pictures(), 35, task, steps=np.int64(1), patience=np.int64(1), effort=0)  # type: ignore[arg-type]
    assert len(found.history) == 2


def test_a_network_that_changes_its_input_sees_all_views_of_the_pictures_themselves() -> None:
    def changing(x: Tensor) -> Tensor:
        return x.sub_(0.5).mean((2, 3))

    x, coded = pictures(), pictures().flip(0)
    kept = npp.keep_prediction(changing, x, npp.VIEWS)
    plain = npp.keep_prediction(lambda seen: (seen - 0.5).mean((2, 3)), x, npp.VIEWS)
    assert torch.equal(kept(coded), plain(coded))
    assert torch.equal(x, pictures()) and torch.equal(coded, pictures().flip(0))
    assert kept(coded.requires_grad_()).requires_grad
