"""Divergences of half precision, in which a sure probability is 1."""

from __future__ import annotations

import math

import pytest
import torch
from task_nets import DenseFinder
from torch import Tensor

from npp.tasks import build_task
from npp.tasks.boxes import paired_iou
from npp.tasks.divergence import binary_kl, class_divergence, dense_divergence, logit_kl

HALF = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("background", [None, -1])
def test_sure_classes_have_finite_divergences(dtype: torch.dtype, background: int | None) -> None:
    clean = torch.tensor([[9.0, -9.0, 1.0], [30.0, -30.0, 0.0]]).to(dtype)
    now = torch.tensor([[8.0, -9.0, 1.5], [30.0, -30.0, 0.0]]).to(dtype).requires_grad_()
    divergence, weight = class_divergence(clean, now, background)
    exact = class_divergence(clean.float(), now.detach().float(), background)
    assert divergence.dtype == weight.dtype == torch.float32
    torch.testing.assert_close((divergence, weight), exact)
    divergence.sum().backward()
    assert now.grad is not None and bool(now.grad.isfinite().all())


@pytest.mark.parametrize("dtype", HALF)
def test_a_probability_of_1_is_finite(dtype: torch.dtype) -> None:
    clean, now = torch.tensor([1.0, 0.0, 0.5]).to(dtype), torch.tensor([0.5, 0.5, 1.0]).to(dtype)
    torch.testing.assert_close(binary_kl(clean, now), binary_kl(clean.float(), now.float()))
    assert bool(binary_kl(clean, now).isfinite().all())
    assert binary_kl(clean.double(), now.double()).dtype == torch.float64


def _exact(clean: Tensor, now: Tensor) -> Tensor:
    """The divergence of logits in float64, as a sum of parts none of which is below 0."""
    clean, now = clean.double(), now.double()
    change = now - clean

    def surplus(x: Tensor) -> Tensor:
        series = x**2 / 2 - x**3 / 3 + x**4 / 4 - x**5 / 5 + x**6 / 6
        return torch.where(x.abs() < 1e-2, series, x - x.log1p())

    happens = clean.sigmoid() * surplus((-now).sigmoid() * change.expm1())
    return happens + (-clean).sigmoid() * surplus(now.sigmoid() * (-change).expm1())


@pytest.mark.parametrize("middle", [-30.0, -12.0, -4.6, 0.0, 9.0])
@pytest.mark.parametrize("change", [1e-6, 1e-4, 1e-2, 0.2, 0.3, 3.0])
def test_divergences_of_logits_are_exact(middle: float, change: float) -> None:
    """Each one, not only their sum, and their gradients: q - p."""
    clean = middle + torch.linspace(-1, 1, 999)
    now = (clean + change * torch.linspace(-1, 1, 999).flip(0)).requires_grad_()
    divergence = logit_kl(clean, now)
    torch.testing.assert_close(divergence.double(), _exact(clean, now), rtol=2e-5, atol=0)
    divergence.sum().backward()
    assert now.grad is not None
    exact = clean.double().sigmoid() * (-now.double()).sigmoid() * (now.double() - clean.double()).expm1()
    torch.testing.assert_close(now.grad.double(), exact, rtol=2e-5, atol=0)


def test_small_divergences_are_not_made_larger() -> None:
    """Of as many places and classes as a detector has: rounding of each must not add up to a change."""
    torch.manual_seed(0)
    clean = -4.6 + 0.5 * torch.randn(200_000)
    for change in (1e-5, 1e-3, 1e-1):
        now = clean + change * torch.randn(200_000)
        exact = float(_exact(clean, now).sum())
        assert float(class_divergence(clean, now)[0]) == pytest.approx(exact, rel=1e-5)
        assert float(binary_kl(clean.sigmoid(), now.sigmoid()).sum()) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("dtype", [*HALF, torch.float32])
def test_divergences_of_large_logits_are_finite(dtype: torch.dtype) -> None:
    values = torch.tensor([-torch.inf, -6e4, -300.0, -89.0, 0.0, 89.0, 300.0, 6e4, torch.inf]).to(dtype)
    clean, now = (each.flatten() for each in torch.meshgrid(values, values, indexing="ij"))
    now.requires_grad_()
    divergence = logit_kl(clean, now)
    assert bool(divergence.isfinite().all()) and bool((divergence[clean == now] == 0).all())
    assert float(divergence.detach().min()) > -1e-30
    divergence.sum().backward()
    assert now.grad is not None and bool(now.grad.isfinite().all())


@pytest.mark.parametrize(("background", "there"), [(0, 0.8), (-1, 0.5)])
def test_what_the_background_does_not_have_is_there(background: int, there: float) -> None:
    """Of .2, .3, .5 and .25, .25, .5; logits may be off by any constant."""
    clean = torch.tensor([[0.2, 0.3, 0.5]]).log() + 2
    now = torch.tensor([[0.25, 0.25, 0.5]]).log() - 1
    divergence, weight = class_divergence(clean, now, background)
    wanted = 0.2 * math.log(0.2 / 0.25) + 0.3 * math.log(0.3 / 0.25)
    assert divergence.tolist() == pytest.approx([wanted], rel=1e-5)
    assert weight.tolist() == pytest.approx([there])


def test_without_a_background_the_best_class_is_there() -> None:
    """Of Bernoulli distributions of .2 and .6 that became .5 and .6."""
    clean, now = torch.tensor([[0.2, 0.6]]).logit(), torch.tensor([[0.5, 0.6]]).logit()
    divergence, weight = class_divergence(clean, now)
    wanted = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    assert divergence.tolist() == pytest.approx([wanted], rel=1e-5)
    assert weight.tolist() == pytest.approx([0.6])


def test_boxes_of_half_precision_overlap_as_exactly_as_they_are() -> None:
    boxes = torch.tensor([[600.0, 400.0, 640.0, 440.0], [604.0, 404.0, 640.0, 440.0]]).bfloat16()
    torch.testing.assert_close(paired_iou(boxes[0], boxes[1]), paired_iou(*boxes.float()))


def test_detectors_own_divergences_are_asked_in_float32(images: Tensor) -> None:
    class Half(DenseFinder):
        def dense(self, images: Tensor) -> dict[str, Tensor]:
            return {name: values.bfloat16() for name, values in super().dense(images).items()}

        def divergence(self, clean: dict[str, Tensor], now: dict[str, Tensor]) -> Tensor:
            assert {values.dtype for values in (*clean.values(), *now.values())} == {torch.float32}
            return super().divergence(clean, now)

    task = build_task("detection", model=Half())
    assert task.loss(images, task.targets(images)).dtype == torch.float32


@pytest.mark.parametrize("background", [None, 0])
def test_boxes_and_centres_count_as_far_as_something_was_there(background: int | None) -> None:
    classes, boxes, centres = torch.randn(2, 2, 5, 3), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 1)
    places, there = class_divergence(*classes, background)
    distances = torch.nn.functional.smooth_l1_loss(*boxes, reduction="none").sum(-1)
    without = dense_divergence((classes[0], classes[1]), (boxes[0], boxes[1]), None, background)
    torch.testing.assert_close(without, (places + there * distances).sum(1))
    centred = logit_kl(centres[0], centres[1])[..., 0]
    both = dense_divergence(
        (classes[0], classes[1]), (boxes[0], boxes[1]), (centres[0], centres[1]), background
    )
    torch.testing.assert_close(both, (places + there * (distances + centred)).sum(1))


def test_what_stays_has_no_divergence() -> None:
    classes, boxes, centres = torch.randn(2, 5, 3), torch.randn(2, 5, 4), torch.randn(2, 5, 1)
    same = dense_divergence((classes, classes), (boxes, boxes), (centres, centres), None)
    assert torch.equal(same, torch.zeros(2))


@pytest.mark.parametrize("change", [1e-5, 1e-3, 0.05, 0.4])
def test_no_divergence_of_probabilities_is_negative(change: float) -> None:
    """Each is exact for what it is given, and so are gradients: (q - p) / (q (1 - q))."""
    torch.manual_seed(0)
    clean = 0.5 + 0.4 * (2 * torch.rand(10_000) - 1)
    now = (clean + change * (2 * torch.rand(10_000) - 1)).clamp(0.01, 0.99).requires_grad_()
    divergence = binary_kl(clean, now)
    assert float(divergence.detach().min()) >= 0
    q, p = now.detach().double(), clean.double()
    torch.testing.assert_close(divergence.double(), _exact(p.logit(), q.logit()), rtol=2e-5, atol=1e-16)
    divergence.sum().backward()
    assert now.grad is not None
    torch.testing.assert_close(now.grad.double(), (q - p) / (q * (1 - q)), rtol=1e-5, atol=1e-7)
