"""A quantiser map through compress: the real codec's values, a gradient that lowers the real objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import npp
from npp.gradient.surrogates import NAMES, Gated


@pytest.fixture(scope="module")
def x(photo: np.ndarray) -> torch.Tensor:
    """(2, 3, 80, 112) in [0, 1]."""
    one = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    return torch.stack([one, one.flip(2)])


def test_values_are_the_codecs(x: torch.Tensor) -> None:
    maps = torch.randn(2, 5, 7) * 3
    found = npp.compress(x, [30, 36], qp_map=maps.clone().requires_grad_(), effort=1)
    assert found.bitstreams == npp.encode(x, [30, 36], qp_map=maps, effort=1)
    assert torch.equal(found.x_hat.detach(), npp.decompress(found.bitstreams))
    assert torch.equal(found.x_hat.detach(), npp.compress(x, [30, 36], qp_map=maps, effort=1).x_hat)
    module = npp.BPG(30, effort=1)
    assert module(x, [30, 36], qp_map=maps).bitstreams == found.bitstreams


@pytest.mark.parametrize("surrogate", ["identity", "dct", "scaled", "gated", "masked"])
def test_a_step_down_the_rates_gradient_saves_real_bits(surrogate: str, x: torch.Tensor) -> None:
    """The map alone asks for a gradient: blocks where a QP more saves most get it."""
    maps = torch.zeros(2, 5, 7, requires_grad=True)
    before = npp.compress(x, 32, qp_map=maps, surrogate=surrogate, effort=1)
    (gradient,) = torch.autograd.grad(before.bpp.sum(), maps)
    assert bool((gradient < 0).all()), "a higher QP costs no more bits"
    # Two QPs up where that saves most, two down where it costs least.
    order = gradient.flatten(1).argsort(1)
    step = torch.zeros(2, 35)
    step.scatter_(1, order[:, :17], 2.0)
    step.scatter_(1, order[:, 18:], -2.0)
    after = npp.compress(x, 32, qp_map=step.view(2, 5, 7), effort=1)
    opposite = npp.compress(x, 32, qp_map=-step.view(2, 5, 7), effort=1)
    assert bool((after.bpp < before.bpp.detach()).all())
    assert bool((after.bpp < opposite.bpp).all())


def test_the_size_of_the_rates_gradient_is_right(x: torch.Tensor) -> None:
    """One QP more everywhere saves about what the gradient says."""
    maps = torch.zeros(2, 5, 7, requires_grad=True)
    found = npp.compress(x, 32, qp_map=maps, effort=1)
    (gradient,) = torch.autograd.grad(found.bpp.sum(), maps)
    real = npp.compress(x, 32, qp_map=torch.ones(2, 5, 7), effort=1).bpp - found.bpp.detach()
    assert torch.allclose(gradient.sum((1, 2)), real, rtol=0.35)


@pytest.mark.parametrize("surrogate", [name for name in NAMES if name != "hyperprior"])
def test_descent_lowers_the_real_objective(surrogate: str, x: torch.Tensor) -> None:
    """Only one block counts for the task: bits go there, and the real bpp + weight * error falls."""

    def error(x_hat: torch.Tensor) -> torch.Tensor:
        return (x_hat - x)[..., 32:48, 48:64].square().mean((1, 2, 3))

    maps = torch.zeros(2, 5, 7, requires_grad=True)
    optimiser = torch.optim.Adam([maps], lr=0.7)
    objectives = []
    for _ in range(8):
        found = npp.compress(x, 34, qp_map=maps, surrogate=surrogate, effort=1)
        objective = (found.bpp + 300 * error(found.x_hat)).sum()
        objectives.append(float(objective.detach()))
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
    assert objectives[-1] < 0.9 * objectives[0]
    block = maps.detach()[:, 2, 3]
    assert bool((block < maps.detach().flatten(1).mean(1)).all())


@pytest.mark.parametrize("surrogate", [Gated(floor=0.35), *(name for name in NAMES if name != "hyperprior")])
def test_the_size_of_an_errors_gradient_is_no_more_than_right(
    surrogate: str | Gated, x: torch.Tensor
) -> None:
    """What coefficients that stay lose in precision is not in it, so that it is less than the codec's own."""

    def error(x_hat: torch.Tensor) -> torch.Tensor:
        return (x_hat - x).square().mean((1, 2, 3))

    maps = torch.zeros(2, 5, 7, requires_grad=True)
    coded = npp.compress(x, 34, qp_map=maps, surrogate=surrogate, effort=1)
    (gradient,) = torch.autograd.grad(error(coded.x_hat).sum(), maps)
    coarser, finer = (npp.compress(x, 34, qp_map=one, effort=1) for one in (maps + 2, maps - 2))
    real = (error(coarser.x_hat) - error(finer.x_hat)).detach() / 4
    assert bool((gradient.sum((1, 2)) > 0.2 * real).all())
    assert bool((gradient.sum((1, 2)) < 1.1 * real).all())


@pytest.mark.parametrize("surrogate", ["dct", "gated"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.uint8, 1e-5), (torch.uint16, 0.05)])
def test_whole_numbers_have_the_gradient_of_their_floats(
    surrogate: str, dtype: torch.dtype, close: float, x: torch.Tensor
) -> None:
    """The pictures are the same, and so are the files but for the rounding of 16 bits."""
    peak = torch.iinfo(dtype).max
    whole = (x * peak).round()
    found = []
    for given in (whole.to(torch.int32).to(dtype), whole / peak):
        maps = torch.zeros(2, 5, 7, requires_grad=True)
        coded = npp.compress(given, 32, qp_map=maps, surrogate=surrogate, effort=0)
        found += torch.autograd.grad(coded.bpp.sum(), maps)
    assert bool(found[1].abs().min() > 0)
    assert torch.allclose(*found, rtol=close)


def test_pictures_without_a_map_have_no_share_in_it(x: torch.Tensor) -> None:
    one = torch.zeros(5, 7, requires_grad=True)
    found = npp.compress(x, 32, qp_map=[None, one], effort=1)
    found.bpp[0].backward(retain_graph=True)
    assert one.grad is None or not one.grad.any()
    found.bpp[1].backward()
    assert one.grad is not None
    assert bool(one.grad.any())


def test_surrogates_without_a_map_say_so(x: torch.Tensor) -> None:
    maps = torch.zeros(2, 5, 7, requires_grad=True)
    with pytest.raises(ValueError, match="takes no qp_map"):
        npp.compress(x, 32, qp_map=maps, surrogate="hyperprior", effort=0)
    assert npp.compress(x, 32, qp_map=maps.detach(), surrogate="hyperprior", effort=0).bitstreams


def test_transforms_refuse_a_map_by_name(x: torch.Tensor) -> None:
    maps = torch.zeros(2, 5, 7)

    def bits(offsets: torch.Tensor) -> torch.Tensor:
        return npp.compress(x, 32, qp_map=offsets, effort=0).bpp.sum()

    with pytest.raises(npp.UnsupportedError, match="qp_map"):
        torch.func.grad(bits)(maps)
