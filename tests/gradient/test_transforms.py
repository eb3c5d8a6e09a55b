"""compress under torch's transforms, tracers and modes: it works, or refuses and says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from made_tables import forget_tables
from pictures import pictures
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functionalize, grad, hessian, jvp, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

import npp
from npp.codec.options import resolve_options
from npp.gradient.surrogates import DEFAULT_SURROGATE, NAMES, resolve_surrogate
from npp.torch_state import made_once

# Forward-mode AD loads torch's own scripted decompositions.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def objective(x: Tensor, qp: Any = 33, surrogate: str = "gated") -> Tensor:
    out = npp.compress(x, qp, surrogate=surrogate, effort=0)
    return out.bpp.sum() + out.x_hat.square().sum()


def gradient_of(x: Tensor, surrogate: str) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(objective(leaf, surrogate=surrogate), leaf)[0]


@pytest.mark.parametrize("name", NAMES)
def test_reverse_and_forward_agree_under_torch_func(name: str) -> None:
    x = pictures(2, 16)
    expected, direction = gradient_of(x, name), torch.randn_like(x)
    torch.testing.assert_close(grad(lambda x: objective(x, surrogate=name))(x), expected)
    _, pull = vjp(lambda x: objective(x, surrogate=name), x)
    torch.testing.assert_close(pull(torch.ones(()))[0], expected)
    _, pushed = jvp(lambda x: objective(x, surrogate=name), (x,), (direction,))
    torch.testing.assert_close(pushed, (expected * direction).sum(), rtol=1e-3, atol=1e-3)
    with forward_ad.dual_level():
        dual = objective(forward_ad.make_dual(x, direction), surrogate=name)
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, pushed)


@pytest.mark.parametrize("options", [{"chroma": "444"}, {"lossless": True}])
def test_transforms_have_the_surrogate_know_the_codecs_options(options: dict[str, Any]) -> None:
    def objective(x: Tensor, **options: Any) -> Tensor:
        out = npp.compress(x, 33, surrogate="gated", effort=0, **options)
        return out.bpp.sum() + out.x_hat.square().sum()

    leaf = pictures(2, 16).requires_grad_()
    (expected,) = torch.autograd.grad(objective(leaf, **options), leaf)
    found = grad(lambda x: objective(x, **options))(leaf.detach())
    torch.testing.assert_close(found, expected)
    assert (found - grad(objective)(leaf.detach())).abs().max() > 0.01, "the options make a difference"


@pytest.mark.parametrize("name", NAMES)
def test_vmap_is_a_batch(name: str) -> None:
    x, qps = pictures(2, 16), torch.tensor([29, 41])

    def one(picture: Tensor, qp: Tensor) -> Tensor:
        return objective(picture[None], qp, name)

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(objective(leaf, qps, name), leaf)
    torch.testing.assert_close(vmap(grad(one))(x, qps), expected)
    alone = vmap(grad(one), in_dims=(None, 0))(x[0], qps)
    torch.testing.assert_close(alone[0], expected[0])

    out = npp.compress(x, qps, effort=0)
    assert torch.equal(vmap(lambda p, q: npp.compress(p[None], q, effort=0).x_hat[0])(x, qps), out.x_hat)


def test_files_of_vmap_are_those_of_all_calls() -> None:
    found: list[list[bytes]] = []

    def one(picture: Tensor) -> Tensor:
        out = npp.compress(picture[None], 33, effort=0)
        found.append(out.bitstreams)
        return out.bpp

    x = pictures(3, 16)
    vmap(one)(x)
    assert found == [npp.compress(x, 33, effort=0).bitstreams]


def test_wrong_arguments_are_named_under_a_transform() -> None:
    for wrong, text in ((torch.rand(3, 8, 8), "N, C, H, W"), (torch.rand(1, 2, 8, 8), "channels")):
        with pytest.raises(npp.EncodeError, match=text):
            grad(objective)(wrong)
    with pytest.raises(npp.EncodeError, match="qp"):
        grad(lambda x: objective(x, 99))(pictures())


@pytest.mark.parametrize("name", NAMES)
def test_double_backward_and_batched_gradients(name: str) -> None:
    x = pictures(1, 16).requires_grad_()
    (first,) = torch.autograd.grad(objective(x, surrogate=name), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert torch.isfinite(second).all() and second.abs().sum() > 0
    both = pictures(2, 16).requires_grad_()
    bpp = npp.compress(both, 33, surrogate=name, effort=0).bpp
    (rows,) = torch.autograd.grad(bpp, both, torch.eye(2), is_grads_batched=True)
    assert rows.shape == (2, *both.shape)
    assert rows[0, 0].abs().sum() > 0 and rows[0, 1].abs().sum() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_batched_gradients_of_decoded_pictures_are_those_one_by_one(name: str, chroma: Any) -> None:
    x = pictures(2, 17).requires_grad_()
    means = npp.compress(x, 33, surrogate=name, chroma=chroma, effort=0).x_hat.mean((1, 2, 3))
    (rows,) = torch.autograd.grad(means, x, torch.eye(2), is_grads_batched=True, retain_graph=True)
    one_by_one = [torch.autograd.grad(mean, x, retain_graph=True)[0] for mean in means]
    torch.testing.assert_close(rows, torch.stack(one_by_one))
    assert rows[0, 0].abs().sum() > 0


def test_hessian_is_symmetric() -> None:
    x = pictures(1, 8, 1).double()
    found = hessian(lambda x: npp.compress(x, 33, effort=0).bpp.sum())(x).reshape(64, 64)
    assert found.abs().sum() > 0
    torch.testing.assert_close(found, found.T)


def _fullgraph(x: Tensor) -> object:
    return torch.compile(objective, fullgraph=True, backend="eager")(x)


class _Module(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return objective(x)


REFUSED: dict[str, Callable[[Tensor], object]] = {
    "fullgraph": _fullgraph,
    "export": lambda x: torch.export.export(_Module(), (x,), strict=False),
    "strict export": lambda x: torch.export.export(_Module(), (x,), strict=True),
    "jit.trace": lambda x: torch.jit.trace(objective, (x,)),  # type: ignore[no-untyped-call]
    "make_fx": lambda x: make_fx(lambda x: objective(x))(x),
    "functionalize": lambda x: functionalize(objective)(x),
    "meta": lambda x: objective(x.to("meta")),
    "sparse": lambda x: objective(x.to_sparse()),
    "fake": lambda x: objective(FakeTensorMode().from_tensor(x)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("how", REFUSED)
def test_what_has_no_pixels_is_refused_with_what_to_do(how: str) -> None:
    with pytest.raises(Exception, match=r"(?s)x is|npp\.compress") as caught:
        REFUSED[how](pictures(1, 16))
    message = str(caught.value)
    if "call torch._dynamo.disable() wrapped function" in message:
        return  # torch 2.4 names the function and has no place for a reason
    assert "npp.compress" in message
    assert "export" in message and "between them" in message


# The memory of large outputs is npp's own.
@pytest.mark.parametrize(("name", "side"), [*((name, 16) for name in NAMES), (DEFAULT_SURROGATE, 432)])
@pytest.mark.parametrize("needs_graph", [True, False])
def test_x_hat_and_bpp_may_be_changed_in_place(name: str, side: int, needs_graph: bool) -> None:
    x = pictures(2, side).requires_grad_(needs_graph)
    out = npp.compress(x, 33, surrogate=name, effort=0)
    outside = npp.compress(x, 33, surrogate=name, effort=0)
    expected = outside.x_hat.sub(0.5).div(0.25).clamp(-1, 1), outside.bpp.mul(2)
    out.x_hat.sub_(0.5).div_(0.25).clamp_(-1, 1)
    out.bpp.mul_(2)
    assert torch.equal(out.x_hat, expected[0]) and torch.equal(out.bpp, expected[1])
    if needs_graph:
        (got,) = torch.autograd.grad(out.x_hat.sum() + out.bpp.sum(), x)
        (want,) = torch.autograd.grad(expected[0].sum() + expected[1].sum(), x)
        assert torch.equal(got, want)


class _KeepsReal:
    """A surrogate whose graph holds the codec's own result."""

    needs_real = True

    def __call__(self, x: Tensor, qp: Tensor, real: Any, options: Any) -> Any:
        bpp = (x * real.x_hat).sum((1, 2, 3)) * real.bpp
        return npp.gradient.surrogates.Estimate(x * real.x_hat, bpp)


def test_in_place_changes_do_not_reach_what_a_surrogate_keeps() -> None:
    x = pictures(1, 16).requires_grad_()
    out = npp.compress(x, 33, surrogate=_KeepsReal(), effort=0)
    values = out.x_hat.detach().clone()
    out.x_hat.zero_()
    out.bpp.add_(1)
    (got,) = torch.autograd.grad(out.bpp.sum(), x)
    torch.testing.assert_close(got / got.mean(), values / values.mean())


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "device meta": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_first_call_in_a_mode_leaves_nothing_behind(name: str, mode: str) -> None:
    """float64 with an odd colour space: tables that no other test asked for before."""
    options = resolve_options({"color_space": "ycbcr_bt709", "limited_range": True})
    x = pictures(1, 16).double()
    real = npp.gradient.surrogates.Real(x, torch.ones(1).double())
    surrogate = resolve_surrogate(name)
    forget_tables()
    with MODES[mode]():
        surrogate(x, torch.full((1,), 33.0, dtype=x.dtype, device="cpu"), real, options)
    leaf = x.clone().requires_grad_()
    estimate = surrogate(leaf, torch.full((1,), 33.0, dtype=x.dtype), real, options)
    (gradient,) = torch.autograd.grad(estimate.x_hat.sum() + estimate.bpp.sum(), leaf)
    assert torch.isfinite(gradient).all()


def test_nothing_made_under_fake_tensors_is_kept() -> None:
    @made_once
    def table(size: int) -> Tensor:
        return torch.ones(size)

    with FakeTensorMode():
        assert type(table(3)) is not Tensor
    assert type(table(3)) is Tensor and table(3) is table(3)


def test_errors_of_what_is_made_once_arrive() -> None:
    @made_once
    def broken() -> Tensor:
        raise FileNotFoundError("weights")

    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="weights"):
            broken()
