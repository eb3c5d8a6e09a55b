"""Matching of outputs and of layers."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from task_nets import Body, classifier
from torch import Tensor, nn

import npp
from npp.allocation import LayerFeatures
from npp.tasks import build_task
from npp.tasks.match import Match
from npp.tasks.nested_outputs import mapped
from npp.tasks.onnx_files import FixedBatch


def test_match_distances(images: Tensor) -> None:
    network = Body(4).eval()
    other = images.flip(3)
    clean, now = network(images), network(other)
    task = build_task("match", model=network)
    expected = (now - clean).square().sum((1, 2, 3)) / clean.square().sum((1, 2, 3))
    torch.testing.assert_close(task.loss(other, task.targets(images)), expected)
    divergence = build_task("match", model=network, distance="kl")
    torch.testing.assert_close(
        divergence.loss(other, divergence.targets(images)), npp.keep_prediction(network, images)(other)
    )


def test_match_of_layers_alone(images: Tensor) -> None:
    network = Body(4).eval()
    task = build_task("match", model=network, layers=["0"], output=False)
    clean, now = network[0](images), network[0](images.flip(3))
    expected = (now - clean).square().sum((1, 2, 3)) / clean.square().sum((1, 2, 3))
    torch.testing.assert_close(task.loss(images.flip(3), task.targets(images)), expected)
    assert not any(module._forward_hooks for module in network.modules())
    through = build_task("match", model=network, layers=["0"], output=False, input={"size": [21, 34]})
    torch.testing.assert_close(through.loss(images.flip(3), through.targets(images)), expected)


def test_layers_count_by_the_mean_of_their_errors(images: Tensor) -> None:
    """One gives three times as much, one half as much: of their energy (3 - 1)^2 and (0.5 - 1)^2."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Identity(), nn.Identity()
            self.factors = (1.0, 1.0, 1.0)

        def forward(self, x: Tensor) -> Tensor:
            tripled, halved, moved = self.factors
            self.first(tripled * x), self.second(halved * x)
            return moved * x

    network = Two()
    task = Match(network, layers=["first", "second"], distance="mse")
    targets = task.targets(images)
    task.network.factors = (3.0, 0.5, 1.1)
    found = task.scores(images, targets)
    torch.testing.assert_close(found["features"], torch.full((len(images),), (4 + 0.25) / 2))
    torch.testing.assert_close(found["distance"], torch.full((len(images),), 0.01))
    torch.testing.assert_close(task.loss(images, targets), torch.full((len(images),), 2.135))
    measured = task.metric()
    measured.update(task.predict(images), targets)
    assert measured.compute()["features"] == pytest.approx(2.125)


def test_outputs_count_by_the_mean_of_their_distances(images: Tensor) -> None:
    class Several(nn.Module):
        factors = (1.0, 1.0)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"a": self.factors[0] * x, "b": self.factors[1] * x}

    task = Match(Several(), distance="mse")
    targets = task.targets(images)
    task.network.factors = (1.5, 2.0)
    torch.testing.assert_close(task.loss(images, targets), torch.full((len(images),), (0.25 + 1) / 2))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"layers": ["convolution"]}, "'convolution', which the network lacks"),
        ({"distance": "l1"}, "distance must be one of 'auto', 'kl', 'mse', not 'l1'"),
        ({"output": False}, "layers must name"),
        ({"output": "no"}, "output must be True or False, not 'no'"),
        ({"input": {"sise": 3}}, "'sise'; allowed are mean"),
    ],
)
def test_wrong_matches_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("match", model=Body(4), **settings)


def test_outputs_of_one_number_are_matched_by_their_error(images: Tensor) -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    task = build_task("match", model=network)
    assert (task.loss(images + 0.1, task.targets(images)) > 0).all()
    with pytest.raises(ValueError, match="'kl' needs an output with at least 2 classes"):
        build_task("match", model=network, distance="kl").loss(images, task.targets(images))


def test_targets_of_pictures_of_another_size_are_named(images: Tensor) -> None:
    task = build_task("match", model=Body(4))
    with pytest.raises(
        ValueError, match=r"targets\[0\] must hold output of shape \(4, 11, 17\), not \(4, 1, 17\)"
    ):
        task.loss(images, task.targets(images[:, :, :1]))


def test_a_layer_is_taken_as_it_was_before_the_next_one_changed_it(images: Tensor) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3)).eval()
    task = build_task("match", model=network, layers=["0"], output=False)
    (name, found), *_ = task.targets(images[:1])[0].items()
    assert "0" in name and float(found.min()) < 0
    torch.testing.assert_close(found, network[0](images[:1])[0])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_layers_of_a_network_that_takes_some_pictures_at_a_time(size: int, images: Tensor) -> None:
    network = Body(4).eval()
    at_once = build_task("match", model=network, layers=["0"], output=False)
    in_parts = build_task("match", model=FixedBatch(network, size), layers=["network.0"], output=False)
    for wanted, found in zip(at_once.targets(images), in_parts.targets(images), strict=True):
        torch.testing.assert_close(list(found.values()), list(wanted.values()))


def test_each_thread_sees_its_own_pictures_layers(images: Tensor) -> None:
    task = build_task("match", model=Body(4).eval(), layers=["0", "4"])
    wanted = [task.targets(images.roll(shift, 3)) for shift in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for turn in range(8):
            found = list(pool.map(lambda shift: task.targets(images.roll(shift, 3)), range(4)))
            torch.testing.assert_close(found, wanted, msg=f"turn {turn}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_layers_of_torchscript_are_refused(images: Tensor) -> None:
    scripted = torch.jit.script(classifier().eval())
    for make in (
        lambda: Match(scripted, layers=["0.1"]),
        lambda: Match(scripted, layers=["0.1"], input={"size": 16}),
        lambda: LayerFeatures(scripted, ["0.1"]),
    ):
        with pytest.raises(ValueError, match=r"^layers has '.*0\.1', a module of TorchScript"):
            make()


def test_tensors_of_an_output_are_changed_wherever_they_are() -> None:
    output = OrderedDict(a=torch.zeros(1), b=[(torch.full((1,), 4.0), None), "name"])
    found = mapped(output, lambda tensor: tensor + 1)
    assert type(found) is dict and found == {"a": torch.ones(1), "b": [[torch.full((1,), 5.0), None], "name"]}
    assert output["a"].tolist() == [0]


@dataclasses.dataclass
class _Parts:
    a: Tensor
    b: list[Tensor]


def test_dataclasses_are_looked_into_and_what_holds_no_floats_is_named(images: Tensor) -> None:
    class Dataclass(nn.Module):
        def forward(self, x: Tensor) -> _Parts:
            return _Parts(x.mean((2, 3)), [x.amax((2, 3))])

    class Labels(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)).argmax(1)

    task = build_task("match", model=Dataclass())
    assert isinstance(mapped(_Parts(images, []), lambda tensor: tensor + 1), _Parts), "somebody's own targets"
    assert set(task.targets(images)[0]) == {"output.a", "output.b.0"}
    with pytest.raises(TypeError, match=r"output must hold floating tensors, not a tensor of torch\.int64"):
        build_task("match", model=Labels()).targets(images)
