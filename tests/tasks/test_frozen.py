"""A task works on its own copy of a network, and what it gives is of use in training."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from task_cases import CASES, Case, Plain, measured, tensors_of
from task_nets import ALPHABET, Body, DenseFinder, boxes, classifier
from torch import Tensor, nn

import npp
from npp.tasks import Task, build_task


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    make_network, make_task = CASES[request.param]
    return make_network(), make_task


def _everything(network: nn.Module) -> list[Any]:
    """Whatever a task could change about a network."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return [
        [(name, id(value), value.requires_grad, value.detach().clone().tolist()) for name, value in tensors],
        [(name, type(part), part.training) for name, part in network.named_modules()],
        [getattr(part, "dropout", None) for part in network.modules()],
        [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in network.modules()],
        [value.grad for value in network.parameters()],
    ]


def test_the_callers_network_stays_as_it_is(case: Case, images: Tensor) -> None:
    network, make = case
    before = _everything(network)
    task = make(network)
    task.train()
    targets = task.targets(images)
    task.loss(images.clone().requires_grad_(), targets).sum().backward()
    task.scores(images, targets)
    if task.name == "detection":
        task.loss(images, [boxes([4, 4, 10, 10], labels=[0])] * 3)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
    task.to(torch.float64)
    assert _everything(network) == before
    assert all(value.requires_grad for value in network.parameters())


def test_later_training_of_the_network_does_not_reach_the_task(case: Case, images: Tensor) -> None:
    network, make = case
    task = make(network)
    targets = task.targets(images)
    before = task.loss(images.flip(3), targets)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(task.loss(images.flip(3), targets), before)


def test_a_network_of_a_function_is_copied_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import task_nets

    kept = classifier()
    monkeypatch.setattr(task_nets, "kept", lambda: kept, raising=False)
    build_task("classification", model="python:task_nets:kept")
    assert kept.training and all(value.requires_grad for value in kept.parameters())


def test_a_network_that_keeps_results_is_copied(images: Tensor) -> None:
    class Keeps(Body):
        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x)
            return self.last

    network = Keeps(4)
    network(images).sum().backward()
    task = build_task("match", model=network)
    assert float(task.loss(images, task.targets(images)).abs().max()) < 1e-6
    assert network.last.grad_fn is not None


def test_a_network_that_cannot_be_copied_is_named() -> None:
    network = classifier()
    network.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"model must be a network that copy\.deepcopy can copy.*Sequential"):
        build_task("classification", model=network)


def test_tasks_are_copied_saved_and_moved(case: Case, images: Tensor) -> None:
    network, make = case
    task = make(network)
    targets = task.targets(images.flip(3))
    loss = task.loss(images, targets)
    again = copy.deepcopy(task)
    torch.testing.assert_close(again.loss(images, targets), loss)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    torch.testing.assert_close(task.loss(images, targets), loss)
    again.load_state_dict(task.state_dict())
    torch.testing.assert_close(again.loss(images, targets), loss)
    if task.name != "plain":  # one's own task feeds its network itself
        exact = again.to(torch.float64).loss(images, targets)
        torch.testing.assert_close(exact.float(), loss, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("built_inside", [False, True])
def test_targets_of_inference_mode_serve_in_training(case: Case, built_inside: bool) -> None:
    network, make = case
    task = make(network)
    with torch.inference_mode():
        images = torch.rand(2, 3, 21, 34)
        if built_inside:
            task = make(network)
        targets = task.targets(images)
    leaf = images.clone().requires_grad_()
    task.loss(leaf.flip(3), targets).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0
    tensors = [value for target in targets for value in tensors_of(target)]
    assert tensors and not any(value.is_inference() or value.requires_grad for value in tensors)
    scaled = torch.ones((), requires_grad=True)
    (scaled * tensors[0].float()).sum().backward()


# NaN


class Broken(nn.Module):
    """A network whose output has NaN."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.inner = network

    def forward(self, x: Any) -> Any:
        output: Tensor = self.inner(x)
        return output * torch.nan


@pytest.mark.parametrize("kind", ["classification", "segmentation", "recognition", "match"])
def test_nan_of_a_network_is_named_as_the_tasks(kind: str, images: Tensor) -> None:
    make_network, _ = CASES[kind]
    settings = {"alphabet": ALPHABET} if kind == "recognition" else {}
    task = build_task(kind, model=Broken(make_network()), **settings)
    with pytest.raises(
        ValueError, match=rf"network of the task '{kind}' gave NaN.* its pictures have no NaN"
    ):
        task.targets(images)


def test_nan_of_a_detector_is_named(images: Tensor) -> None:
    class BrokenFinder(DenseFinder):
        def dense(self, images: Tensor) -> dict[str, Tensor]:
            return {"logits": super().dense(images)["logits"] * torch.nan}

    with pytest.raises(ValueError, match=r"'detection' gave NaN as output\.logits"):
        build_task("detection", model=BrokenFinder()).targets(images)


def test_nan_of_pictures_is_named_as_theirs(images: Tensor) -> None:
    images[1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="its pictures have NaN"):
        build_task("classification", model=classifier()).targets(images)


def test_nan_of_a_loss_of_ones_own_is_named_in_refine() -> None:
    class Odd(Plain):
        def loss(self, images: Tensor, targets: Any) -> Tensor:
            return super().loss(images, targets) * torch.nan

    x = torch.rand(1, 3, 16, 16)
    task = Odd(Body(2))
    with pytest.raises(ValueError, match=r"task 'plain' gave NaN as output\.loss"):
        npp.refine(x, 40, task.bind(task.targets(x)), steps=1, effort=0)


# Networks that change their input in place


class Centring(nn.Module):
    """A network behind a subtraction that overwrites what it is given: pictures, or a list of them."""

    def __init__(self, network: nn.Module, *, in_place: bool) -> None:
        super().__init__()
        self.inner = network
        self.in_place = in_place

    def _centred(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self._centred(one) for one in x]
        return x.sub_(0.5).mul_(2) if self.in_place else (x - 0.5) * 2

    def forward(self, x: Any) -> Any:
        return self.inner(self._centred(x))


class CentringFinder(Centring):
    """A detector that does so in each of its methods."""

    def losses(self, images: Any, targets: Any) -> dict[str, Tensor]:
        centred = torch.stack(self._centred(list(images)))
        return {"objectness": self.inner.backbone(centred).square().mean()}


class CentringDenseFinder(CentringFinder):
    """The same with what it says everywhere."""

    def dense(self, images: Tensor) -> dict[str, Tensor]:
        return self.inner.dense(self._centred(images))

    def divergence(self, clean: Any, now: Any) -> Tensor:
        return self.inner.divergence(clean, now)


_CENTRING = {"detection": CentringDenseFinder, "detection by losses": CentringFinder}


def _centring_tasks(kind: str) -> tuple[Task, Task]:
    """A task whose network changes its input, and the same one whose network does not."""
    make_network, make_task = CASES[kind]
    network, centring = make_network(), _CENTRING.get(kind, Centring)
    if kind == "match":  # its layer is one inside
        return tuple(build_task("match", model=Centring(network, in_place=one)) for one in (True, False))  # type: ignore[return-value]
    return make_task(centring(network, in_place=True)), make_task(centring(network, in_place=False))


@pytest.mark.parametrize("kind", CASES)
def test_a_network_that_changes_its_input_leaves_the_pictures_as_they_are(kind: str, images: Tensor) -> None:
    changing, plain = _centring_tasks(kind)
    leaf, kept = images.flip(3).requires_grad_(), images.clone()
    for task in (changing, plain):
        assert task.targets(images) is not None and task.predict(images) is not None
        assert torch.equal(images, kept)
    targets = plain.targets(images)
    assert measured(changing, images.flip(3), targets) == measured(plain, images.flip(3), targets)
    gradients = [torch.autograd.grad(task.loss(leaf, targets).sum(), leaf)[0] for task in (changing, plain)]
    assert torch.equal(*gradients)
    assert torch.equal(leaf, kept.flip(3)) and float(gradients[0].abs().max()) > 0


def test_the_order_of_tasks_does_not_matter_to_refine() -> None:
    x = torch.rand(2, 3, 16, 16)
    changing, _ = _centring_tasks("one's own")
    kept = changing.bind(changing.targets(x))
    tasks = [kept, lambda seen: seen.sub_(0.5).mean((1, 2, 3)), lambda seen: seen.mean((1, 2, 3))]
    there, back = (npp.refine(x, 40, order, steps=1, effort=0) for order in (tasks, tasks[::-1]))
    torch.testing.assert_close(there.history[0].loss, back.history[0].loss)
    assert torch.equal(npp.decompress(there.bitstreams), there.x_hat)


# Modules that torch has compiled


def _compiled(kind: str) -> nn.Module:
    network = classifier().eval()
    if kind == "trace":
        return torch.jit.trace(network, torch.rand(1, 3, 21, 34))
    scripted = torch.jit.script(network)
    return torch.jit.freeze(scripted) if kind == "freeze" else scripted


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("settings", [{}, {"input": {"size": 16}}])
@pytest.mark.parametrize("kind", ["script", "trace", "freeze"])
def test_a_module_of_torchscript_is_a_task_s_network(kind: str, settings: Any, images: Tensor) -> None:
    torch.manual_seed(0)
    network = _compiled(kind)
    torch.manual_seed(0)
    plain = build_task("classification", model=classifier(), **settings)
    task = build_task("classification", model=network, **settings)
    task.train()
    assert all(one.requires_grad for one in network.parameters())
    assert not any(one.requires_grad for one in task.parameters())
    leaf = images.flip(3).requires_grad_()
    targets = plain.targets(images)
    losses = [one.loss(leaf, targets) for one in (task, plain)]
    torch.testing.assert_close(*losses)
    gradients = [torch.autograd.grad(loss.sum(), leaf)[0] for loss in losses]
    torch.testing.assert_close(*gradients)
    copy.deepcopy(task).to(torch.float64)
    npp.importance(images, task, 34, effort=0)
