"""Every task: gradients reach the pictures, nothing learns, pictures are independent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from task_nets import ALPHABET, Body, DenseFinder, Reader, classifier
from torch import Tensor, nn

import npp
from npp.tasks import Task, available_tasks, build_task

MAKERS: dict[str, Callable[[], Task]] = {
    "classification": lambda: build_task("classification", model=classifier()),
    "segmentation": lambda: build_task("segmentation", model=Body(5)),
    "recognition": lambda: build_task("recognition", model=Reader(), alphabet=ALPHABET),
    "match": lambda: build_task("match", model=classifier(), layers=["0.1"]),
    "match-features": lambda: build_task("match", model=Body(5)),
    "detection": lambda: build_task("detection", model=DenseFinder()),
}


@pytest.fixture(params=MAKERS)
def task(request: pytest.FixtureRequest) -> Task:
    torch.manual_seed(1)
    made = MAKERS[request.param]()
    for module in made.modules():  # statistics and contrasts that matter
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.05, 0.1)
        if isinstance(module, nn.Linear):
            module.weight.mul_(20)
    return made


def test_names(task: Task) -> None:
    assert task.name in available_tasks()


def test_gradients_reach_the_images_and_nothing_learns(task: Task, images: Tensor) -> None:
    state = {name: value.clone() for name, value in task.state_dict().items()}
    nn.Sequential(task).train()
    targets = task.targets(images.flip(3))
    leaf = images.clone().requires_grad_()
    loss = task.loss(leaf, targets)
    assert loss.shape == (3,)
    loss[1].backward()
    assert leaf.grad is not None and leaf.grad[1].abs().sum() > 0
    assert (leaf.grad[[0, 2]] == 0).all()
    assert all(one.grad is None and not one.requires_grad for one in task.parameters())
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())


def test_training_mode_is_refused(task: Task, images: Tensor) -> None:
    nn.Sequential(task).train()
    active = [one for one in task.modules() if one.training and not isinstance(one, nn.RNNBase)]
    assert not active
    targets = task.targets(images.flip(3))
    assert torch.equal(task.loss(images, targets), task.loss(images, targets))


def test_loss_is_least_on_the_clean_image(task: Task, images: Tensor) -> None:
    targets = task.targets(images)
    torch.testing.assert_close(task.loss(images, targets), torch.zeros(3), atol=1e-6, rtol=0)
    assert (task.loss(images.roll(1, 0), targets) > 1e-6).all()
    assert not any(isinstance(one, Tensor) and one.requires_grad for one in targets)


def test_a_batch_equals_its_pictures(task: Task, images: Tensor) -> None:
    targets = task.targets(images.flip(3))
    together = task.loss(images, targets)
    alone = torch.cat([task.loss(images[i : i + 1], targets[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    scores = task.scores(images, targets)
    first = task.scores(images[:1], targets[:1])
    for name in scores:
        torch.testing.assert_close(scores[name][:1], first[name])


def test_divergences_grow_with_noise(task: Task, images: Tensor) -> None:
    targets = task.targets(images)
    noise = torch.randn_like(images)
    levels = [task.scores(images + level * noise, targets) for level in (0.0, 0.02, 0.1, 0.5)]
    assert all(values.shape == (3,) for values in levels[0].values())
    for name in {"kl", "distance", "features"} & set(levels[0]):
        means = [float(level[name].mean()) for level in levels]
        assert means == sorted(means) and means[0] < means[-1], name


def test_measures_are_declared(task: Task, images: Tensor) -> None:
    targets = task.targets(images)
    names = set(task.scores(images, targets))
    if task.name == "detection":
        pytest.importorskip("torchvision", reason="mean average precision of torchmetrics needs it")
        pytest.importorskip("pycocotools", reason="mean average precision needs it")
    metric = task.metric()
    predictions = task.predict(images)
    assert len(predictions) == 3
    metric.update(predictions[:2], targets[:2])
    metric.update(predictions[2:], targets[2:])
    values = metric.compute()
    assert values and all(isinstance(value, float) for value in values.values())
    assert names | set(values) <= set(task.higher_is_better)


def test_refine_takes_a_task(task: Task) -> None:
    x = torch.rand(2, 3, 16, 24)
    found = npp.refine(x, 40, task.bind(task.targets(x)), steps=1, effort=0)
    expected = task.loss(npp.compress(x, 40, effort=0).x_hat, task.targets(x))
    torch.testing.assert_close(found.history[0].loss, expected)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda x: x[0], ValueError, r"shape \(N, 3, H, W\)"),
        (lambda x: x[:, :1], ValueError, r"shape \(N, 3, H, W\)"),
        (lambda x: (x * 255).byte(), TypeError, "floating"),
        (lambda x: x.numpy(), TypeError, "floating"),
    ],
)
def test_wrong_images_are_named(
    task: Task, images: Tensor, change: Callable[[Tensor], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        task.targets(change(images))


def test_missing_targets_are_named(task: Task, images: Tensor) -> None:
    with pytest.raises(ValueError, match="one entry per image, 3, not 2"):
        task.loss(images, task.targets(images)[:2])


def test_pictures_of_another_scale_are_refused(task: Task, images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"images hold values from .*: divide samples of 0 to 255 by 255"):
        task.targets(255 * images)


class Dressed(nn.Module):
    """Gives more than the logits, as many networks do."""

    def __init__(self, network: nn.Module, kind: type) -> None:
        super().__init__()
        self.network, self.kind = network, kind

    def forward(self, x: Tensor) -> Any:
        found = self.network(x)
        return {"logits": found} if self.kind is dict else (found, x)


@pytest.mark.parametrize("kind", [dict, tuple])
@pytest.mark.parametrize("name", ["classification", "segmentation", "recognition"])
def test_a_network_that_gives_more_than_logits_is_told_how_to_be_wrapped(
    name: str, kind: type, images: Tensor
) -> None:
    plain = {"classification": classifier, "segmentation": lambda: Body(5), "recognition": Reader}[name]()
    settings = {"alphabet": ALPHABET} if name == "recognition" else {}
    task = build_task(name, model=Dressed(plain, kind), **settings)
    given = "dict of logits" if kind is dict else "tuple"
    with pytest.raises(ValueError, match=f"must give logits .*not {given}: wrap it in a module"):
        task.targets(images)


@pytest.mark.parametrize(
    ("kind", "real", "told"),
    [
        ("classification", 1, "all class indices or all predictions, not both"),
        ("recognition", "a", "all strings or all predictions, not both"),
        ("segmentation", torch.zeros(21, 34).long(), "all maps of labels or all predictions, not both"),
    ],
)
def test_real_targets_beside_predictions_are_refused(kind: str, real: Any, told: str, images: Tensor) -> None:
    made = MAKERS[kind]()
    with pytest.raises(ValueError, match=told):
        made.scores(images, [real, *made.targets(images)[1:]])
