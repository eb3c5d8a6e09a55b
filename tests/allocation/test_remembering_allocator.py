"""Maps of one picture at several qps: the allocator's trunk looks at it once, and the maps are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from npp.allocation import Allocator
from npp.allocation import remembering_allocator as module
from npp.allocation.remembering_allocator import RememberingAllocator


@pytest.fixture
def allocator() -> Allocator:
    torch.manual_seed(0)
    made = Allocator(width=16, depth=1, strength=3.0)
    for weights in made.network.parameters():
        if not weights.any():  # layers that begin at 0 would not show the qp
            torch.nn.init.normal_(weights, std=0.5)
    return made.eval()


@contextmanager
def looks(allocator: Allocator) -> Iterator[list[torch.Size]]:
    """Shapes of what the trunk is shown."""
    shapes: list[torch.Size] = []
    handle = allocator.network.trunk.register_forward_pre_hook(
        lambda _, inputs: shapes.append(inputs[0].shape)
    )
    yield shapes
    handle.remove()


def picture(seed: int, height: int = 70, width: int = 90) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_a_picture_is_looked_at_once_for_all_qps(allocator: Allocator) -> None:
    remembering = RememberingAllocator(allocator)
    with looks(allocator) as shapes:
        for qp in (22, 37, 51):
            assert torch.equal(remembering(picture(1), qp), remembering(picture(1), qp))
        remembering.sensitivity(picture(1), 30)
    assert len(shapes) == 1
    for qp in (22, 37, 51):
        assert torch.equal(remembering(picture(1), qp), allocator(picture(1), qp))
    assert torch.equal(remembering.sensitivity(picture(1), 30), allocator.sensitivity(picture(1), 30))
    assert not torch.equal(allocator(picture(1), 22), allocator(picture(1), 51))


@torch.no_grad()
@pytest.mark.parametrize(
    "other",
    [picture(2), picture(1)[..., :69, :], picture(1).double(), picture(1)[:, :1], picture(1).mul(0.999)],
)
def test_other_pictures_sizes_and_types_are_looked_at_anew(other: Tensor, allocator: Allocator) -> None:
    remembering = RememberingAllocator(allocator)
    remembering(picture(1), 37)
    assert torch.equal(remembering(other, 37), allocator(other, 37))
    assert torch.equal(remembering(picture(1), 37), allocator(picture(1), 37))


@torch.no_grad()
def test_what_is_remembered_has_an_end(allocator: Allocator, monkeypatch: pytest.MonkeyPatch) -> None:
    remembering = RememberingAllocator(allocator)
    monkeypatch.setattr(module, "_MOST_VALUES", 2 * 86 * 5 * 6)  # of two pictures
    with looks(allocator) as shapes:
        for seed in (1, 2, 3, 1, 2, 3):
            assert torch.equal(remembering(picture(seed), 37), remembering(picture(seed), 37))
    assert len(shapes) == 2 + 4  # the third one each time


def test_gradients_and_half_precision_are_as_without(allocator: Allocator) -> None:
    remembering = RememberingAllocator(allocator)
    x = picture(1).requires_grad_()
    for _ in range(2):
        remembering(x, 37).square().sum().backward()
        assert x.grad is not None and bool(x.grad.any())
    half = Allocator(width=16, depth=1).half().eval()
    with torch.no_grad():
        assert torch.equal(RememberingAllocator(half)(picture(1), 37), half(picture(1), 37))


def test_the_other_allocator_stays_as_it_is(allocator: Allocator) -> None:
    allocator.train()
    allocator.network.eval()
    remembering = RememberingAllocator(allocator)
    assert remembering.training and not allocator.network.training
    assert remembering.state_dict().keys() == allocator.state_dict().keys()
    assert all(
        ours is theirs for ours, theirs in zip(remembering.parameters(), allocator.parameters(), strict=True)
    )
