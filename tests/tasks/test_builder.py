"""Tasks by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from task_nets import classifier

from npp.tasks import build_task


def test_unknown_tasks_and_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"one of classification, detection, .*not 'clasification'"):
        build_task("clasification")
    with pytest.raises(ValueError, match="no setting 'modle'; allowed are model, input"):
        build_task("classification", modle="efficientnet-lite0")
    with pytest.raises(ValueError, match="needs the setting 'model'"):
        build_task("classification")
    with pytest.raises(TypeError, match="model must be a name"):
        build_task("classification", model=3)
    with pytest.raises(TypeError, match=r"must be an npp\.tasks\.Task"):
        build_task("python:npp.tasks:InputFormat")


def test_a_task_of_ones_own_by_name() -> None:
    task = build_task("python:npp.tasks.classification:Classification", model=classifier())
    assert task.name == "classification"


_OWN = """
import torch
from npp.tasks import AverageMetric, Task

class Depth(Task):
    name, higher_is_better = "depth", {"loss": False}

    @torch.no_grad()
    def targets(self, images):
        return list(self.network(images))

    def loss(self, images, targets):
        return (self.network(images) - torch.stack(targets)).abs().mean((1, 2, 3))

    def metric(self):
        return AverageMetric(lambda now, clean: {})

NETWORK = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3), torch.nn.BatchNorm2d(1)).train()

def build():
    return NETWORK

def make():
    return Depth(build())
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with a task of one's own, a network for it and both together."""
    (tmp_path / "own_depth_task.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_depth_task"
    sys.modules.pop("own_depth_task", None)


def test_a_task_of_ones_own_takes_its_network_by_name(own_module: str) -> None:
    whole = build_task(f"python:{own_module}:make")
    task = build_task(f"python:{own_module}:Depth", network=f"python:{own_module}:build")
    x = torch.rand(2, 3, 16, 20)
    assert torch.equal(task.loss(x, whole.targets(1 - x)), whole.loss(x, whole.targets(1 - x)))
    assert not task.training and not any(weight.requires_grad for weight in task.parameters())
    kept = sys.modules[own_module].NETWORK  # what a function gives may be used elsewhere
    assert kept.training and all(weight.requires_grad for weight in kept.parameters())


def test_what_is_no_network_of_a_task_of_ones_own_is_named(own_module: str) -> None:
    with pytest.raises(ValueError, match=r"^network must be one of .*, not 'own_depth_task:build'; did you"):
        build_task(f"python:{own_module}:Depth", network=f"{own_module}:build")
    with pytest.raises(TypeError, match=r"^network must be a torch\.nn\.Module or a name of one, not 3"):
        build_task(f"python:{own_module}:Depth", network=3)
    with pytest.raises(ValueError, match="needs the setting 'network'"):
        build_task(f"python:{own_module}:Depth")
