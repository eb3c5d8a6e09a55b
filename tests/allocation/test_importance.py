"""Importance of blocks: what it is the gradient of, and that it is right for every kind of task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import npp
from npp.allocation.block_importance import block_energy
from npp.tasks import build_task
from npp.tasks.classification import Classification
from npp.tasks.detection import Detection
from npp.tasks.match import Match
from npp.tasks.recognition import Recognition
from npp.tasks.segmentation import Segmentation
from npp.tasks.task import Task


class LooksAt(nn.Module):
    """Logits of the mean colour within a window of 32x32 pixels; blind to everything else."""

    def __init__(self, top: int = 16, left: int = 32) -> None:
        super().__init__()
        self.window = (slice(None), slice(None), slice(top, top + 32), slice(left, left + 32))
        self.scale = 20.0

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x[self.window].mean((2, 3))


class Places(LooksAt):
    """The same at every place of the window, for segmentation."""

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x[self.window]


class Line(LooksAt):
    """Three steps of a line of text over two characters and the blank."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, None].expand(-1, 3, -1)


class Finder(LooksAt):
    """A detector of the interface with a dense head."""

    def dense(self, images: Tensor) -> dict[str, Tensor]:
        return {"cells": super().forward(images)}

    def divergence(self, clean: dict[str, Tensor], now: dict[str, Tensor]) -> Tensor:
        return (clean["cells"] - now["cells"]).square().sum(1)

    def forward(self, images: Any) -> Any:
        one = {"boxes": torch.tensor([[0.0, 0, 8, 8]]), "labels": torch.ones(1).long()}
        return [{**one, "scores": torch.ones(1)} for _ in images]


TASKS: dict[str, Callable[[], Task]] = {
    "classification": lambda: Classification(LooksAt()),
    "segmentation": lambda: Segmentation(Places()),
    "detection": lambda: Detection(Finder()),
    "recognition": lambda: Recognition(Line(), alphabet="ab"),
    "match": lambda: Match(LooksAt()),
}


def pictures(count: int = 2, height: int = 64, width: int = 96) -> Tensor:
    return 0.2 + 0.6 * torch.rand(count, 3, height, width)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", TASKS)
def test_only_what_a_network_looks_at_is_important(kind: str) -> None:
    found = npp.importance(pictures(), TASKS[kind](), 34, effort=1)
    assert found.shape == (2, 4, 6) and found.dtype == torch.float32 and not found.requires_grad
    inside = torch.zeros(4, 6, dtype=torch.bool)
    inside[1:3, 2:4] = True
    assert (found > 0).all()
    assert found[:, inside].min() > 1e6 * found[:, ~inside].max()


@pytest.mark.parametrize("kind", TASKS)
def test_modes_of_the_caller_change_nothing(kind: str) -> None:
    x, task = pictures(), TASKS[kind]()
    wanted = npp.importance(x, task, 34, effort=1, generator=seeded())
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            found = npp.importance(x.clone(), task, 34, effort=1, generator=seeded())
        assert torch.equal(found, wanted)


def test_the_mean_of_many_draws_is_the_fisher_diagonal() -> None:
    """Its diagonal is known for a network that is linear in the mean colour of a window."""
    x = pictures(1)
    network = LooksAt()
    p = network(x).softmax(1)[0]
    fisher = torch.diag(p) - p[:, None] * p[None]
    # Each pixel of the window of 1024 changes a channel's logit by scale / 1024; a block has 256 of them.
    wanted = 256 * (network.scale / 1024) ** 2 * fisher.diagonal().sum()
    found = npp.importance(x, Classification(network), 0, draws=400, generator=seeded())
    assert found[0, 1, 2] == pytest.approx(float(wanted), rel=0.1)


def test_one_draw_already_ranks_blocks_as_many_do() -> None:
    class Weighted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            columns = torch.linspace(0.2, 3, x.shape[-1])
            return 8 * (x * columns).unflatten(3, (-1, 8)).mean((2, 4)).flatten(1)

    x = pictures(1, 48, 96)
    task = Classification(Weighted())
    one = npp.importance(x, task, 34, generator=seeded(), effort=1)[0].mean(0)
    many = npp.importance(x, task, 34, draws=50, generator=seeded(4), effort=1)[0].mean(0)
    assert torch.corrcoef(torch.stack([one.log(), many.log()]))[0, 1] > 0.7
    assert many[-1] > 10 * many[0]


def test_blocks_at_the_border_count_the_pixels_they_have() -> None:
    gradient = torch.ones(1, 3, 33, 50)
    expected = 3 * torch.tensor([[256.0, 256, 256, 32], [256, 256, 256, 32], [16, 16, 16, 2]])
    assert torch.allclose(block_energy(gradient)[0], expected)


def test_a_list_of_sizes_gives_what_each_alone_gives() -> None:
    task = Detection(Finder())
    images = [pictures(1)[0], pictures(1, 50, 70)[0]]
    found = npp.importance(images, task, [30, 38], generator=seeded(), effort=1)
    assert [tuple(one.shape) for one in found] == [(4, 6), (4, 5)]
    first = npp.importance(images[0][None], task, 30, generator=seeded(), effort=1)
    assert torch.equal(found[0], first[0])


def test_several_tasks_are_averaged_in_the_log() -> None:
    x = pictures()
    tasks = [Classification(LooksAt(0, 0)), Classification(LooksAt(0, 16))]
    generator = seeded(0)
    each = [npp.importance(x, task, 34, generator=generator, effort=1) for task in tasks]  # one draws on
    together = npp.importance(x, tasks, 34, generator=seeded(0), effort=1)
    both = together[:, 0, 1]  # the block that both see
    assert (together[:, 0, 0] < both).all() and (together[:, 0, 3] < both).all()
    torch.testing.assert_close(together, (each[0] * each[1]).sqrt(), rtol=1e-4, atol=0)


def test_every_picture_is_asked_around_its_own_qp() -> None:
    """By hand, of a loss whose gradient is known: coded 3 below and 3 above, and with noise as strong."""
    x, qps = pictures(3), [1, 30.4, 50]
    found = npp.importance(x, Detection(Finder()), qps, batch=2, generator=seeded(), effort=1)
    around = [[0, 4], [27, 33], [47, 51]]  # rounded, and no further than there are qps
    generator, window = seeded(), (..., slice(16, 48), slice(32, 64))
    noise = torch.cat([torch.randn(n, *x.shape[1:], generator=generator) for n in (2, 1)])
    for place, (clean, pair) in enumerate(zip(x, around, strict=True)):
        below, above = (npp.compress(clean[None], qp, effort=1).x_hat[0] for qp in pair)
        noisy = (clean + (above - clean).square().mean().sqrt() * noise[place]).clamp(0, 1)
        # The loss is the square of what the mean of 1024 pixels moved by, times 20; a block has 256 of them.
        slopes = [2 * 20**2 * (seen - clean)[window].mean((1, 2)) / 1024 for seen in (below, above, noisy)]
        energies = torch.stack([256 * slope.square().sum() for slope in slopes])
        wanted = energies.log().mean().exp()
        assert found[place, 1:3, 2:4].flatten().tolist() == pytest.approx([float(wanted)] * 4, rel=1e-3)


def test_the_same_generator_gives_the_same_map_whatever_the_threads() -> None:
    x, task = pictures(), Match(LooksAt())
    maps = [npp.importance(x, task, 34, generator=seeded(), threads=t, effort=1) for t in (1, 2)]
    assert torch.equal(*maps)
    assert not torch.equal(maps[0], npp.importance(x, task, 34, generator=seeded(9), effort=1))


def test_it_works_within_no_grad_and_leaves_the_network_without_gradients() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        found = npp.importance(pictures(), Classification(network), 34, effort=1)
    assert bool((found > 0).all())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_no_pictures_give_no_maps() -> None:
    assert npp.importance(pictures(0), Match(LooksAt()), 34).shape == (0, 4, 6)
    assert npp.importance([], Match(LooksAt()), []) == []


def test_wrong_input_is_named() -> None:
    x, task = pictures(1), Match(LooksAt())
    for wrong, kind, message in (
        (lambda: npp.importance(x, "classification", 30), TypeError, "task must be"),  # type: ignore[arg-type]
        (lambda: npp.importance(x, [], 30), ValueError, "task must be one at least"),
        (lambda: npp.importance(x, task, 60), ValueError, "qp must be a number from 0 to 51"),
        (lambda: npp.importance(x, task, [30, 31]), ValueError, "qp has the shape"),
        (lambda: npp.importance(x, task, 30, draws=0), ValueError, "draws must be"),
        (lambda: npp.importance(x[:, :2], task, 30), ValueError, r"\(N, 3, H, W\)"),
        (lambda: npp.importance((x * 255).byte(), task, 30), TypeError, "floating"),
        (lambda: npp.importance(torch.full_like(x, math.nan), task, 30), ValueError, "NaN"),
    ):
        with pytest.raises(kind, match=message):
            wrong()


def test_a_bare_network_is_told_how_to_become_a_task() -> None:
    with pytest.raises(TypeError, match=r'build_task\("match", model=network\) makes one'):
        npp.importance(torch.rand(1, 3, 32, 32), torch.nn.Conv2d(3, 2, 3), 37)  # type: ignore[call-overload]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["classification", "segmentation", "match"])
def test_networks_of_other_dtypes_are_asked_in_theirs(kind: str, dtype: torch.dtype) -> None:
    def network() -> nn.Module:
        torch.manual_seed(5)
        net = nn.Conv2d(3, 4, 8, 8)
        return net if kind == "segmentation" else nn.Sequential(net, nn.AdaptiveAvgPool2d(2), nn.Flatten())

    x = pictures()
    settings: dict[str, Any] = {"draws": 2, "effort": 0}
    wanted, found = (
        npp.importance(x, build_task(kind, model=net), 36, generator=seeded(), **settings)
        for net in (network(), network().to(dtype))
    )
    assert found.dtype == torch.float32
    assert torch.corrcoef(torch.stack([wanted.log().flatten(), found.log().flatten()]))[0, 1] > 0.9


class Spoilt(LooksAt):
    """Its logits are not finite for pictures that are bright in a corner; their gradients neither."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        bright = x[:, :, 0, 0].mean(1, keepdim=True) > 0.9
        return super().forward(x) * torch.where(bright, self.value, 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_importance_that_is_not_finite_is_named_with_task_and_picture(value: float) -> None:
    x = pictures(3)
    x[1, :, :16, :16] = 1
    tasks = [Match(LooksAt()), Segmentation(Places()), Classification(Spoilt(value))]
    for given in (x, list(x)):
        with pytest.raises(ValueError, match="'classification' gave gradients of NaN for picture 1"):
            npp.importance(given, tasks, 30, batch=2, effort=0)


class Sure(LooksAt):
    """Says which channel is the brightest, and nothing about how nearly it is not."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(super().forward(x).argmax(1), 3).float()


@pytest.mark.parametrize("kind", [Classification, Match])
def test_a_task_without_a_gradient_is_named(kind: type[Task]) -> None:
    task = kind(Sure())
    with pytest.raises(ValueError, match=f"task '{task.name}' has no gradient with respect to the pictures"):
        npp.importance(pictures(), [Match(LooksAt()), task], 30, effort=0)
