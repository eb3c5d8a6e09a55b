"""Classification: losses and accuracies are those of the books."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from task_nets import Body, DenseFinder, classifier
from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks import build_task
from npp.tasks.divergence import kl_divergence, log_distributions, one_hot_log


def test_classification_values(images: Tensor) -> None:
    network = classifier().eval()
    task = build_task("classification", model=network)
    logits = network(images)
    labels = [1, torch.tensor(0), 6]
    expected = F.cross_entropy(logits, torch.tensor([1, 0, 6]), reduction="none")
    torch.testing.assert_close(task.loss(images, labels), expected)
    other = torch.rand(3, 7).softmax(1)
    expected = F.kl_div(logits.log_softmax(1), other, reduction="none").sum(1)
    torch.testing.assert_close(task.loss(images, list(other)), expected)
    torch.testing.assert_close(task.loss(images, list(other.log() + 3)), expected)
    torch.testing.assert_close(task.loss(images, list(other.numpy())), expected)
    scores = task.scores(images, list(logits.argmax(1).numpy()))
    assert scores["top1"].tolist() == [1, 1, 1] and set(scores) == {"cross_entropy", "top1"}


def _decided() -> nn.Module:
    """A classifier whose probabilities are far from equal."""
    network = classifier().eval()
    last = [part for part in network.modules() if isinstance(part, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.mul_(400)
    return network


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_softmax_within_the_network_is_not_done_twice(dtype: torch.dtype, images: Tensor) -> None:
    """As files have it that end in one; where it is done again, hardly any divergence is left."""
    network = _decided().to(dtype)
    soft = nn.Sequential(network, nn.Softmax(1))
    tasks = [build_task("classification", model=network), build_task("classification", model=soft)]
    now = (images * 0.5).requires_grad_()
    right, found = (task.loss(now, task.targets(images)) for task in tasks)
    assert (right > 0.01).all()
    torch.testing.assert_close(found, right, rtol=1e-3 if dtype == torch.float32 else 0.2, atol=0)
    found.sum().backward()
    assert now.grad is not None and now.grad.isfinite().all() and now.grad.abs().sum() > 0
    twice = build_task("classification", model=soft, probabilities=False)
    assert (twice.loss(images * 0.5, twice.targets(images)) < right / 2).all()


def test_what_a_network_gives_is_told_by_noise_and_not_by_the_first_picture(images: Tensor) -> None:
    class Rectified(nn.Module):
        """Logits that are a one and nothing else where the picture is black."""

        def forward(self, x: Tensor) -> Tensor:
            means = x.mean((2, 3))
            return torch.relu(torch.cat([1 - 4 * means[:, :1], 9 * means], 1))

    black = torch.zeros_like(images[:1])
    first, other = (build_task("classification", model=Rectified()) for _ in range(2))
    assert float(first.targets(black)[0][0]) == pytest.approx(math.log(math.e / (math.e + 3)))
    torch.testing.assert_close(first.targets(images), other.targets(images), rtol=0, atol=0)


@pytest.mark.parametrize("trouble", ["infinite", "raised"])
def test_noise_that_a_network_does_not_take_is_no_trouble(trouble: str, images: Tensor) -> None:
    class Calm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if float(x.std()) > 0.2 and trouble == "raised":
                raise RuntimeError("this is no photo")
            more = torch.where(x.std() > 0.2, torch.inf, 1.0).expand(len(x), 1)
            return torch.cat([x.mean((2, 3)), more], 1)

    task = build_task("classification", model=Calm())
    flat = torch.full_like(images, 0.5)
    assert task.loss(flat, task.targets(flat)).tolist() == [pytest.approx(0, abs=1e-6)] * len(flat)


def test_what_tells_is_seen_before_the_pictures_and_draws_nothing(images: Tensor) -> None:
    network = nn.Sequential(nn.Identity(), classifier().eval())
    task = build_task("classification", model=network)
    seen: list[Tensor] = []
    part: Any = task.network
    part[0].register_forward_hook(lambda module, given, output: seen.append(output))
    torch.manual_seed(4)
    wanted = torch.rand(3)
    torch.manual_seed(4)
    task.targets(images)
    assert torch.equal(torch.rand(3), wanted)
    task.targets(images)
    assert [len(one) for one in seen] == [1, len(images), len(images)]
    assert torch.equal(seen[-1], images)
    new = build_task("classification", model=network)
    weights = torch.rand(2)
    found = torch.vmap(lambda weight: new.loss(images, [0, 1, 2]) * weight)(weights)
    torch.testing.assert_close(found, weights[:, None] * task.loss(images, [0, 1, 2]))


def test_coarse_probabilities_can_be_said(images: Tensor) -> None:
    class Coarse(nn.Module):
        """Steps of 1/16, whose sum may be far from 1, as quantised networks have them."""

        def forward(self, x: Tensor) -> Tensor:
            return ((x.mean((2, 3)) * 9).softmax(1) * 16).floor() / 16

    task = build_task("classification", model=Coarse(), probabilities=True)
    said = Coarse()(images)
    expected = said.clamp_min(torch.finfo(torch.float32).tiny).log().log_softmax(1)
    torch.testing.assert_close(torch.stack(task.targets(images)), expected)
    with pytest.raises(ValueError, match="probabilities must be True or False, not 'yes'"):
        build_task("classification", model=Coarse(), probabilities="yes")


def test_a_probability_of_zero_is_a_finite_loss(images: Tensor) -> None:
    class Sure(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(3)[: len(x)]

    task = build_task("classification", model=Sure())
    losses = task.loss(images, [0, 1, 0])
    # What was 0 counts as the least number there is, and so do the losses of what is right.
    assert losses[:2].tolist() == pytest.approx([0, 0], abs=1e-37)
    assert losses[2] > 80 and losses.isfinite().all()


def test_infinite_logits_are_named(images: Tensor) -> None:
    class Infinite(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 3), torch.inf)

    with pytest.raises(
        ValueError, match="task 'classification' gave infinity as output; its pictures have no NaN"
    ):
        build_task("classification", model=Infinite()).targets(images)


def test_classification_metric() -> None:
    predictions = list(torch.eye(7)[[3, 2, 1, 0]].log_softmax(1))
    metric = build_task("classification", model=classifier()).metric()
    metric.update(predictions, [3, 2, 0, 5])
    assert metric.compute()["top1"] == 0.5
    agreement = build_task("classification", model=classifier()).metric()
    agreement.update(predictions, list(torch.eye(7)[[3, 2, 1, 5]]))
    assert agreement.compute() == {"agreement": 0.75}


def test_zero_probability_has_a_finite_gradient() -> None:
    now = torch.zeros(1, 3, requires_grad=True)
    loss = kl_divergence(one_hot_log(torch.tensor([1]), 3), now.log_softmax(1))
    loss.sum().backward()
    torch.testing.assert_close(now.grad, torch.tensor([[1 / 3, -2 / 3, 1 / 3]]))
    assert log_distributions([torch.tensor([0.0, 1.0])], now.device).tolist() == [[-torch.inf, 0]]


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        ([7, 0, 0], "from 0 to 6, not 7"),
        ([-1, 0, 0], "from 0 to 6, not -1"),
        ([0, 8, 0], r"as in targets\[1\]"),
        ([0, 0, torch.ones(7)], "not both"),
        ([torch.tensor(True)] * 3, "shape"),
        ([torch.zeros(7).long()] * 3, r"targets\[0\] is torch.int64 and does not choose one class"),
        ([torch.tensor([0, 1, 1, 0, 0, 0, 0])] * 3, "does not choose one class"),
        ([torch.full((7,), torch.nan)] * 3, "without NaN"),
        ([torch.ones(3)] * 3, r"shape \(7,\)"),
    ],
)
def test_wrong_labels_are_named(images: Tensor, targets: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("classification", model=classifier()).loss(images, targets)


def test_one_hot_targets_are_labels(images: Tensor) -> None:
    task = build_task("classification", model=classifier())
    hot = list(F.one_hot(torch.tensor([1, 0, 6]), 7))
    torch.testing.assert_close(task.loss(images, hot), task.loss(images, [1, 0, 6]))


def test_a_single_class_is_named(images: Tensor) -> None:
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 1))
    with pytest.raises(ValueError, match=r"at least 2 classes, not \(3, 1\)"):
        build_task("classification", model=network).targets(images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_probabilities_are_told_from_logits_whatever_their_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for classes in (2, 10, 1000):
        exact = torch.randn(64, classes).mul(2).softmax(1)
        found = log_distributions(list(exact.to(dtype)), exact.device)
        torch.testing.assert_close(found.exp().sum(1), torch.ones(64), atol=1e-3, rtol=0)
        kl = (exact * (exact.clamp_min(1e-9).log() - found.clamp_min(-50))).sum(1)
        assert float(kl.abs().max()) < 0.02, (dtype, classes)


def test_each_picture_of_a_batch_has_probabilities_or_logits() -> None:
    """One that has the one does not make the others of the same kind."""
    torch.manual_seed(0)
    logits = torch.randn(3, 5)
    given = [logits[0], logits[1].softmax(0), logits[2].log_softmax(0), torch.eye(5)[2]]
    found = log_distributions(given, logits.device)
    torch.testing.assert_close(found[:3], logits.log_softmax(1))
    assert found[3].exp().tolist() == [0, 0, 1, 0, 0]


def test_a_metric_of_no_pictures_says_nothing() -> None:
    for name, network in (("classification", classifier()), ("segmentation", Body(4))):
        metric = build_task(name, model=network.eval()).metric()
        metric.update([], [])
        assert metric.compute() == {}


@pytest.mark.parametrize("name", ["classification", "segmentation", "match", "detection"])
def test_a_metric_wants_as_many_targets_as_predictions(name: str, images: Tensor) -> None:
    network = {"segmentation": Body(4), "detection": DenseFinder()}.get(name, classifier())
    task = build_task(name, model=network.eval())
    predictions, targets = task.predict(images), task.targets(images)
    try:
        metric = task.metric()
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    for given in ((predictions[:1], targets[:2]), (predictions, targets[:1]), ([], targets)):
        counts = f"{len(given[0])}, not {len(given[1])}"
        with pytest.raises(ValueError, match=rf"^targets must hold one entry per prediction, {counts}$"):
            metric.update(*given)
