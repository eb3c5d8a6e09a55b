"""Tasks of every kind on small networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from task_nets import ALPHABET, Body, DenseFinder, Finder, Reader, classifier
from torch import Tensor, nn

from npp.tasks import AverageMetric, Task, build_task


class Plain(Task):
    """A task of one's own."""

    name, higher_is_better = "plain", {"loss": False}

    def targets(self, images: Tensor) -> list[Any]:
        return list(self.network(images))

    def loss(self, images: Tensor, targets: Any) -> Tensor:
        return (self.network(images) - torch.stack(targets)).abs().flatten(1).mean(1)

    def metric(self) -> AverageMetric:
        return AverageMetric(lambda now, clean: {"loss": float((now - clean).abs().mean())})


Maker = Callable[[nn.Module], Task]
CASES: dict[str, tuple[Callable[[], nn.Module], Maker]] = {
    "classification": (classifier, lambda net: build_task("classification", model=net)),
    "prepared": (classifier, lambda net: build_task("classification", model=net, input={"size": 16})),
    "segmentation": (lambda: Body(5), lambda net: build_task("segmentation", model=net)),
    "recognition": (Reader, lambda net: build_task("recognition", model=net, alphabet=ALPHABET)),
    "match": (classifier, lambda net: build_task("match", model=net, layers=["0.1"])),
    "detection": (DenseFinder, lambda net: build_task("detection", model=net)),
    "detection by losses": (Finder, lambda net: build_task("detection", model=net)),
    "one's own": (lambda: Body(3), Plain),
}
Case = tuple[nn.Module, Maker]


def measured(task: Task, images: Tensor, targets: list[Any]) -> dict[str, Any]:
    """The scores of a task, and their means where its metric keeps no boxes."""
    scores = {name: (value.dtype, value.tolist()) for name, value in task.scores(images, targets).items()}
    means = {}
    if task.name != "detection":
        metric = task.metric()
        metric.update(task.predict(images), targets)
        means = metric.compute()
    return {**scores, **{f"mean {name}": value for name, value in means.items()}}


def tensors_of(target: Any) -> list[Tensor]:
    """All tensors of a target."""
    if isinstance(target, dict):
        return [one for value in target.values() for one in tensors_of(value)]
    return [target]
