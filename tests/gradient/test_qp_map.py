"""Surrogates with a quantiser map: every block has its own step, and the map a gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pictures import pictures
from torch import Tensor

import npp
import npp.hevc.planes as planes_module
from npp.codec.options import resolve_options
from npp.gradient.surrogates import Estimate, Gated, Real, Surrogate, resolve_surrogate
from npp.hevc.planes import PictureLayout, Plane
from npp.hevc.quantiser import block_qp, chroma_qp, slice_qp, step_size

NAMES = ["identity", "dct", "scaled", "gated", "masked"]


def inputs(height: int = 24, width: int = 40, channels: int = 3) -> tuple[Tensor, Tensor, Real]:
    x = pictures(2, 40, channels)[:, :, :height, :width].double()
    x_hat = (x + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3)).double()).clamp(0, 1)
    return x, torch.tensor([26.0, 38.0]).double(), Real(x_hat, torch.ones(2).double())


def estimate_of(
    name: str | Gated, qp_map: Tensor | None, options: dict[str, Any], channels: int = 3
) -> Estimate:
    x, qp, real = inputs(channels=channels)
    surrogate: Any = resolve_surrogate(name)
    given = real if surrogate.needs_real else None
    more = {} if qp_map is None else {"qp_map": qp_map}
    estimate: Estimate = surrogate(x, qp, given, resolve_options(options), **more)
    return estimate


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
@pytest.mark.parametrize("name", NAMES)
def test_an_even_map_is_another_qp(name: str, chroma: str, channels: int) -> None:
    options = {"chroma": chroma, "alpha_qp": 30}
    x, qp, real = inputs(channels=channels)
    surrogate = resolve_surrogate(name)
    given = real if surrogate.needs_real else None
    moved = estimate_of(name, torch.full((2, 2, 3), 5.0).double(), options, channels)
    plain = surrogate(x, qp + 5, given, resolve_options(options))
    torch.testing.assert_close(moved.x_hat, plain.x_hat)
    torch.testing.assert_close(moved.bpp, plain.bpp)


def test_a_block_has_its_own_step() -> None:
    """A map that raises one block's qp changes the gates there and nowhere else."""
    x, qp, _ = inputs(32, 48, 1)
    offsets = torch.zeros(2, 2, 3).double()
    offsets[:, 1, 2] = 9
    options = resolve_options({})
    change = (Gated()(x, qp, None, options, offsets).x_hat - Gated()(x, qp, None, options).x_hat).abs()
    assert change[..., 16:32, 32:40].amax() > 1e-3
    change[..., 16:32, 32:48] = 0
    assert change.amax() == 0


@pytest.mark.parametrize(
    ("chroma", "cell"), [("420", (8, 8)), ("422", (16, 8)), ("444", (16, 16)), ("420_mpeg2", (8, 8))]
)
def test_chroma_blocks_lie_under_lumas(chroma: str, cell: tuple[int, int]) -> None:
    offsets = torch.tensor([[[0.0, 6, -6], [3, 12, 1]]]).double()
    layout = PictureLayout(
        resolve_options({"chroma": chroma}),
        torch.Size([1, 3, 24, 40]),
        torch.tensor([34.0]).double(),
        offsets,
    )
    luma, first, _ = layout.split(torch.rand(1, 3, 24, 40).double())
    quantiser = block_qp(slice_qp(torch.tensor(34.0).double()), offsets)
    assert torch.equal(luma.step, step_size(quantiser)) and luma.cell == (16, 16)
    expected = chroma_qp(quantiser) if chroma.startswith("420") else quantiser
    assert torch.equal(first.step, step_size(expected)) and first.cell == cell


def test_steps_of_transform_blocks() -> None:
    steps = torch.tensor([[[1.0, 2, 4], [8, 16, 32]]])
    luma = Plane(torch.zeros(1, 24, 40), steps)
    assert luma.steps_of(16)[0, :, 0, :, 0].tolist() == steps[0].tolist()
    assert luma.steps_of(8)[0, :, 0, :, 0].tolist() == [[1, 1, 2, 2, 4]] * 2 + [[8, 8, 16, 16, 32]]
    chroma = Plane(torch.zeros(1, 12, 20), steps, (8, 8))
    assert chroma.steps_of(8)[0, :, 0, :, 0].tolist() == steps[0].tolist()
    larger = chroma.steps_of(16)[0, :, 0, :, 0]
    torch.testing.assert_close(larger, torch.tensor([[4.0, (4 * 32) ** 0.5]]))


def test_offsets_are_rounded_and_cut_off() -> None:
    offset = torch.tensor([-60.0, -1.6, 0.4, 2.6, 60.0]).double().requires_grad_()
    found = block_qp(torch.tensor(26.0).double(), offset)
    assert found.tolist() == [0, 24, 26, 29, 51]
    (gradient,) = torch.autograd.grad(step_size(found).log().sum(), offset)
    torch.testing.assert_close(gradient, torch.tensor([0, 1, 1, 1, 0]).double() * torch.tensor(2.0).log() / 6)


def _without_rounding(picture_qp: Tensor, offset: Tensor) -> Tensor:
    return picture_qp + offset


def _half_of_luma(luma_qp: Tensor, offset: int, *, halved: bool) -> Tensor:
    """Parallel to luma's, as chroma's table is for the gradient."""
    assert offset == 0
    return luma_qp - 3 if halved else luma_qp


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_of_the_map(name: str, chroma: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the smooth function whose gradient the rounded one borrows."""
    monkeypatch.setattr(planes_module, "block_qp", _without_rounding)
    monkeypatch.setattr(planes_module, "chroma_qp", _half_of_luma)
    generator = torch.Generator().manual_seed(4)
    qp_map = (4 * torch.rand(2, 2, 3, generator=generator, dtype=torch.float64) - 2).requires_grad_()

    def estimated(offsets: Tensor) -> tuple[Tensor, ...]:
        estimate = estimate_of(name, offsets, {"chroma": chroma})
        # The picture's gradient of the others is not that of their own values, but the gate's.
        return tuple(estimate) if name == "gated" else (estimate.bpp,)

    assert torch.autograd.gradcheck(estimated, qp_map, fast_mode=True)
    (rate,) = torch.autograd.grad(estimate_of(name, qp_map, {"chroma": chroma}).bpp.sum(), qp_map)
    assert (rate < 0).all()  # a larger step costs fewer bits, everywhere


@pytest.mark.parametrize("name", NAMES)
def test_the_rounded_map_has_the_smooth_one_s_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    qp_map = torch.tensor([[[1.0, -2, 3], [0, 5, -4]]] * 2).double().requires_grad_()
    options = {"chroma": "444"}
    rounded = torch.autograd.grad(sum(part.sum() for part in estimate_of(name, qp_map, options)), qp_map)[0]
    monkeypatch.setattr(planes_module, "block_qp", _without_rounding)
    smooth = torch.autograd.grad(sum(part.sum() for part in estimate_of(name, qp_map, options)), qp_map)[0]
    torch.testing.assert_close(rounded, smooth)


@pytest.mark.parametrize("surrogate", [Gated(floor=0.35), *NAMES])
def test_all_tell_a_map_the_same_of_the_picture(surrogate: str | Gated) -> None:
    """What lets the picture's gradient pass, or a floor for networks, is no matter of the step."""
    options = {"chroma": "420"}
    given = 4 * torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 2
    gradients = []
    for one in ("gated", surrogate):
        qp_map = given.clone().requires_grad_()
        x_hat = estimate_of(one, qp_map, options).x_hat
        weight = torch.linspace(-1, 2, x_hat.shape[-1], dtype=torch.float64)
        gradients += torch.autograd.grad((x_hat * weight).sum(), qp_map)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert bool((gradients[0] != 0).all())


class _NoMap:
    needs_real = False

    def __call__(self, x: Tensor, qp: Tensor, real: Real | None, options: Any) -> Estimate:
        return Estimate(x, x.mean((1, 2, 3)))


@pytest.mark.parametrize("surrogate", [_NoMap(), resolve_surrogate("hyperprior")], ids=["own", "hyperprior"])
def test_a_surrogate_without_maps_refuses_by_name(surrogate: Surrogate) -> None:
    x, _, _ = inputs()
    with pytest.raises(ValueError, match=rf"{type(surrogate).__name__} takes no qp_map"):
        npp.compress(x.requires_grad_(), 30, qp_map=torch.zeros(2, 2, 3), surrogate=surrogate, effort=0)


def test_lossless_and_alpha_are_left_alone() -> None:
    qp_map = torch.full((1, 2, 3), 7.0)
    shape, qp = torch.Size([1, 4, 24, 40]), torch.tensor([30.0])
    lossless = PictureLayout(resolve_options({"lossless": True}), shape, qp, qp_map).split(torch.rand(shape))
    assert all((plane.step == 1).all() for plane in lossless)
    lossy = PictureLayout(resolve_options({}), shape, qp, qp_map).split(torch.rand(shape))
    assert lossy[3].step.tolist() == step_size(slice_qp(qp)).tolist()
