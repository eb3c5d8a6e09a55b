"""A step's total, part by part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from npp.training.objective import Terms
from npp.training.recipe_model import PreparedBatch
from npp.training.step_in_parts import total_in_parts

SMALL = 2.0**-30  # nothing in float16


def _half_precision(ready: PreparedBatch) -> Iterator[Terms]:
    """A task in float16 of each picture and its map."""
    assert ready.qp_map is not None
    for x, qp_map in zip(ready.x_pre, ready.qp_map, strict=True):
        seen = x.half().square().sum() + qp_map.half().square().sum()
        one = (SMALL * seen.float())[None]
        yield Terms(one, one, one, one[:, None], one)


def _gradients(scale: float, pictures: Tensor) -> tuple[Tensor, Tensor]:
    gain, strength = (torch.ones((), requires_grad=True) for _ in range(2))
    ready = PreparedBatch((4, 4), pictures, gain * pictures, strength * pictures[:, 0])
    total, _ = total_in_parts(ready, _half_precision, torch.tensor(scale))
    (total * scale).backward()
    assert gain.grad is not None and strength.grad is not None
    return gain.grad / scale, strength.grad / scale


def test_parts_go_backward_with_the_scale_of_half_precision() -> None:
    pictures = torch.full((2, 3, 4, 4), 0.5)
    of_pictures, of_map = _gradients(2.0**16, pictures)
    assert of_pictures.item() == pytest.approx(SMALL * 2 * 0.25 * 48)
    assert of_map.item() == pytest.approx(SMALL * 2 * 0.25 * 16)


def test_a_scale_that_is_too_much_shows_as_infinity() -> None:
    """The scaler then leaves the step out and takes less."""
    of_pictures, _ = _gradients(2.0**60, torch.full((2, 3, 4, 4), 0.5))
    assert of_pictures.isinf()
