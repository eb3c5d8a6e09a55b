"""A loss reads values as often for many pictures as for few: each reading waits for a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from task_nets import ALPHABET, Body, DenseFinder, Reader, classifier
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from npp.tasks import Task, build_task

_READS = {"aten::_local_scalar_dense", "aten::item", "aten::nonzero"}


class _Reads(TorchDispatchMode):
    """Counts what makes a number of a tensor, or a tensor whose shape depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += op.name().split(".")[0] in _READS
        return op(*args, **(kwargs or {}))


class _Cells(nn.Module):
    """Scores by the colours in each cell, and the same box everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = (self.scale * nn.functional.avg_pool2d(x, 4)).flatten(2).transpose(1, 2).sigmoid()
        corner = scores[..., :2]
        return {"boxes": torch.cat([corner, corner + 8], -1), "scores": scores}


def _reads(task: Task, images: Tensor) -> int:
    with _Reads() as reads:
        task.loss(images, task.loss_targets(images)).sum().backward()
    return reads.count


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(lambda: build_task("classification", model=classifier()), id="classification"),
        pytest.param(lambda: build_task("recognition", model=Reader(), alphabet=ALPHABET), id="recognition"),
        pytest.param(lambda: build_task("match", model=Body(5)), id="match"),
        pytest.param(lambda: build_task("detection", model=DenseFinder()), id="detection"),
        pytest.param(lambda: build_task("detection", model=_Cells(), cells={}), id="cells"),
    ],
)
def test_more_pictures_are_no_more_readings(task: Any) -> None:
    made = task()
    images = torch.rand(5, 3, 32, 32, requires_grad=True)
    _reads(made, images[:1])  # the first batch also tells what the network puts out
    few, many = _reads(made, images[:1]), _reads(made, images)
    assert few == many


def test_a_detectors_loss_needs_no_boxes() -> None:
    torch.manual_seed(0)
    clean, now = torch.rand(2, 2, 3, 32, 32)
    for task in (
        build_task("detection", model=DenseFinder()),
        build_task("detection", model=_Cells(), cells={}),
    ):
        found = task.loss_targets(clean)
        assert all(set(one) == {"dense"} for one in found)
        torch.testing.assert_close(task.loss(now, found), task.loss(now, task.targets(clean)))
    trained = build_task("detection", model=DenseFinder(), loss="training", threshold=0.1)
    assert {"boxes", "labels"} <= set(trained.loss_targets(clean)[0])
