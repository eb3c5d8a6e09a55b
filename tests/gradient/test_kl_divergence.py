"""The divergence of distributions: right however small it is, never negative, with its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

import npp
from npp.gradient.kl_divergence import kl_divergence
from npp.tasks import build_task


def _plain(clean: Tensor, now: Tensor) -> Tensor:
    """The usual sum in float64, of log-probabilities (N, C) that are made to sum to 1 there."""
    clean, now = (each.double().log_softmax(1) for each in (clean, now))
    return (clean.exp() * (clean - now)).sum(1)


def _logits(classes: int, change: float, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    clean = spread * torch.randn(64, classes, generator=generator)
    return clean, clean + change * torch.randn(64, classes, generator=generator)


@pytest.mark.parametrize("classes", [2, 5, 1000])
@pytest.mark.parametrize("change", [1e-4, 1e-3, 1e-2, 0.1, 0.7])
def test_small_divergences_are_what_float64_finds(classes: int, change: float) -> None:
    """Of log-probabilities that are rounded to float32: for what these say, not what was rounded off."""
    clean, now = (each.log_softmax(1) for each in _logits(classes, change))
    found = kl_divergence(clean, now)
    torch.testing.assert_close(found.double(), _plain(clean, now), rtol=1e-5, atol=2e-13)
    assert float(found.min()) >= 0


@pytest.mark.parametrize("change", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_ordinary_divergences_stay_what_the_usual_sum_says(change: float, spread: float) -> None:
    clean, now = (each.log_softmax(1) for each in _logits(10, change, spread))
    usual = (clean.exp() * (clean - now)).sum(1)
    is_ordinary = usual > 0.1  # below it the usual sum is itself not as exact as that
    torch.testing.assert_close(kl_divergence(clean, now)[is_ordinary], usual[is_ordinary], rtol=1e-5, atol=0)
    assert int(is_ordinary.sum()) > 32


@pytest.mark.parametrize("change", [1e-5, 1e-3, 0.1, 0.6, 5.0])
def test_gradients_are_those_of_float64(change: float) -> None:
    """Of the logits: q - p, and in the clean ones p (log p - log q - KL)."""
    found = [each.requires_grad_() for each in _logits(7, change)]
    wanted = [each.detach().double().requires_grad_() for each in found]
    kl_divergence(*(each.log_softmax(1) for each in found)).sum().backward()
    _plain(*wanted).sum().backward()
    for mine, exact in zip(found, wanted, strict=True):
        assert mine.grad is not None and exact.grad is not None
        # Log-probabilities near 2 are rounded to 1e-7, and so is what follows from their differences.
        torch.testing.assert_close(mine.grad.double(), exact.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own forward mode
def test_derivatives_of_both_kinds_and_orders_fit_the_values() -> None:
    """Of any numbers taken for log-probabilities: a softmax would hide a part of them."""
    clean, now = (each[:3].double().requires_grad_() for each in _logits(4, 0.1, 0.5))
    now.data[0, 0] += 2  # no small change, as no probability is where it is 0
    clean.data[1, 0] = -800.0
    assert gradcheck(kl_divergence, (clean, now), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(kl_divergence, (clean, now))
    mapped = torch.func.vmap(kl_divergence)(clean[None], now[None])
    assert torch.equal(mapped[0], kl_divergence(clean, now))


def test_extreme_logits_have_finite_divergences_and_gradients() -> None:
    values = torch.tensor([-1e30, -300.0, -104.0, -88.0, 0.0, 88.0, 104.0, 300.0, 1e30])
    firsts, seconds = torch.meshgrid(values, values, indexing="ij")
    clean = torch.stack([firsts.flatten(), torch.zeros(81), torch.ones(81)], 1).requires_grad_()
    now = torch.stack([seconds.flatten(), torch.zeros(81), torch.ones(81)], 1).requires_grad_()
    divergence = kl_divergence(clean.log_softmax(1), now.log_softmax(1))
    assert bool(divergence.isfinite().all()) and float(divergence.detach().min()) >= 0
    assert bool((divergence.detach()[firsts.flatten() == seconds.flatten()] == 0).all())
    divergence.sum().backward()
    for each in (clean, now):
        assert each.grad is not None and bool(each.grad.isfinite().all())


def test_what_was_impossible_is_free_and_what_becomes_it_is_not() -> None:
    none = -torch.inf
    clean = torch.tensor([[0.0, none], [0.0, none], [none, 0.0]])
    now = torch.tensor([[0.0, none], [-1e-9, -20.723266], [0.0, none]])
    assert kl_divergence(clean, now).tolist() == [0.0, pytest.approx(1e-9, rel=1e-5), torch.inf]


def test_half_precision_is_judged_in_float32() -> None:
    clean, now = (each.log_softmax(1).bfloat16() for each in _logits(5, 0.1))
    found = kl_divergence(clean, now)
    assert found.dtype == torch.float32 and torch.equal(found, kl_divergence(clean.float(), now.float()))
    logits = [each.bfloat16() for each in _logits(5, 0.1)]
    seen = iter(logits)
    task = build_task("match", model=_Said(lambda: next(seen)))
    pictures = torch.rand(64, 3, 8, 8)
    loss = task.loss(pictures, task.targets(pictures))
    torch.testing.assert_close(loss.double(), _plain(*logits), rtol=1e-4, atol=0)


class _Said(nn.Module):
    """A network that says what it is told, whatever it sees."""

    def __init__(self, say: object) -> None:
        super().__init__()
        self._say = say

    def forward(self, images: Tensor) -> Tensor:
        assert callable(self._say)
        said: Tensor = self._say()
        return said


def _faint_network() -> nn.Module:
    """A classifier as it comes, which reacts little to what the codec does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
        return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("name", ["classification", "match", "keep_prediction"])
def test_a_network_that_reacts_little_has_true_divergences(name: str) -> None:
    """The usual sum in float32 says -1e-8 and the like here, and BD-rates that follow from it look real."""
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    x = nn.functional.avg_pool2d(x, 5, 1, 2)
    network = _faint_network()
    if name == "keep_prediction":
        loss_of = npp.keep_prediction(network, x)
    else:
        task = build_task(name, model=network)
        loss_of = lambda seen: task.loss(seen, task.targets(x))  # noqa: E731
    for qp in (22, 30, 38, 46):
        seen = npp.compress(x, qp, effort=0).x_hat
        with torch.no_grad():
            exact = _plain(network(x), network(seen))
            found = loss_of(seen)
        # The network's own rounding, 1e-7 in logits, is what is left.
        torch.testing.assert_close(found.double(), exact, rtol=1e-2, atol=1e-13)
        assert 0 <= float(exact) < 1e-3 and float(found) >= 0


@pytest.mark.filterwarnings("ignore:.*autograd.function.Function:DeprecationWarning")  # Dynamo's own
def test_a_compiled_graph_holds_it_whole() -> None:
    clean = torch.randn(4, 10).log_softmax(1)
    logits = (clean + 0.1 * torch.randn(4, 10)).requires_grad_()

    def loss(logits: Tensor) -> Tensor:
        return kl_divergence(clean, logits.log_softmax(1)).sum()

    (expected,) = torch.autograd.grad(loss(logits), logits)
    whole = torch.compile(loss, backend="aot_eager", fullgraph=True)
    (found,) = torch.autograd.grad(whole(logits), logits)
    torch.testing.assert_close(found, expected)
