"""Smoothing blurs where the map is coarse, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import npp
from npp.recipes import Parts, Recipe, Smoothing
from npp.recipes.smoothing import blurred


@pytest.fixture(scope="module")
def x(photo: np.ndarray) -> torch.Tensor:
    """(2, 3, 80, 112) in [0, 1]."""
    one = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    return torch.stack([one, one.flip(2)])


def _left_coarse() -> torch.Tensor:
    """(2, 5, 7): offsets of 6 in the three columns on the left, -6 beside them."""
    offsets = torch.full((2, 5, 7), -6.0)
    offsets[..., :3] = 6.0
    return offsets


def _recipe(smoothing: Smoothing | None) -> Recipe:
    allocator = npp.Allocator.load("general").with_strength(1)
    return Recipe("test", allocator=allocator, smoothing=smoothing, options={"effort": 1}).eval()


def test_fine_blocks_stay_and_coarse_ones_are_blurred(x: torch.Tensor) -> None:
    found = Smoothing(1.5, 1, 4)(x, _left_coarse())
    # Offsets run from one block's middle to the next one's.
    assert torch.equal(found[..., 56:], x[..., 56:])
    assert torch.allclose(found[..., :40], blurred(x, 1.5)[..., :40], atol=1e-6)
    assert (found[..., :40] - x[..., :40]).abs().max() > 0.02
    between = slice(40, 56)
    assert not torch.equal(found[..., between], x[..., between])


def test_the_blur_is_a_gaussian() -> None:
    """An impulse becomes the Gaussian itself, and what is flat stays flat up to the border."""
    impulse = torch.zeros(1, 1, 31, 31, dtype=torch.float64)
    impulse[..., 15, 15] = 1
    found = blurred(impulse, 2.0)[0, 0]
    assert abs(float(found.sum()) - 1) < 1e-12
    places = torch.arange(31, dtype=torch.float64) - 15
    variance = float((found.sum(0) * places.square()).sum())
    assert 0.9 * 4 < variance < 4  # cut off at 2.5 sigmas
    assert torch.allclose(found, found.T)
    assert float(found[15, 15] / found[15, 17]) == pytest.approx(np.exp(0.5))
    flat = torch.full((1, 3, 17, 9), 0.3)
    assert torch.allclose(blurred(flat, 4.0), flat)


def test_each_picture_has_its_own_map(x: torch.Tensor) -> None:
    offsets = _left_coarse()
    offsets[1] = -6
    found = Smoothing()(x, offsets)
    assert torch.equal(found[1], x[1])
    assert torch.equal(found[0], Smoothing()(x[:1], offsets[:1])[0])


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_is_blurred_and_alpha_is_not(x: torch.Tensor, channels: int) -> None:
    given = x[:, :1] if channels == 1 else torch.cat([x, x[:, :1]], dim=1)
    found = Smoothing()(given, _left_coarse())
    assert found.shape == given.shape
    assert not torch.equal(found[:, 0], given[:, 0])
    if channels == 4:
        assert torch.equal(found[:, 3], given[:, 3])


def test_gradients_reach_pictures_and_map(x: torch.Tensor) -> None:
    pixels = x[:, :, :32, :48].double().requires_grad_()
    offsets = torch.linspace(1.5, 3.5, 12).double().reshape(2, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: Smoothing(0.8, 1, 4)(a, b).square().mean(), (pixels, offsets), nondet_tol=1e-12
    )


def test_a_recipe_smooths_by_its_own_map(x: torch.Tensor, tmp_path: Path) -> None:
    smoothing = Smoothing(1.2, 0.0, 2.0)
    plain, smooth = _recipe(None), _recipe(smoothing)
    assert plain.allocator is not None
    with torch.no_grad():
        offsets = plain.allocator(x, 24)
        ready = smooth.prepare(x, 24)
    assert ready.qp_map is not None
    assert torch.equal(ready.qp_map, offsets), "the map is that of the picture as it was"
    assert torch.equal(ready.x, smoothing(x, offsets))
    assert not torch.equal(ready.x, x)
    files = smooth.compress(x, 24).bitstreams
    assert files == [npp.encode(one, 24, qp_map=m, effort=1) for one, m in zip(ready.x, offsets, strict=True)]
    assert files == smooth.encode(x, 24), "one by one as in a batch"
    assert sum(map(len, files)) < sum(map(len, plain.encode(x, 24)))
    for parts in (Parts(filter=False), Parts(qp_map=False)):
        assert torch.equal(smooth.prepare(x, 24, parts).x, x)
    smooth.save(tmp_path / "smooth.safetensors")
    loaded = Recipe.load(tmp_path / "smooth.safetensors")
    assert loaded.smoothing == smoothing
    assert loaded.encode(x, 24) == files


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_pictures_of_every_precision_go_through_a_whole_recipe(x: torch.Tensor, dtype: torch.dtype) -> None:
    """Scale and smoothing too, which PyTorch's CPU filters do not all know in half precision."""
    whole = Recipe(
        scale=npp.recipes.ScaleRule({0: 0.5}),
        allocator=npp.Allocator.load("general"),
        smoothing=Smoothing(1, 0, 3),
        options={"effort": 0},
    ).eval()
    found = whole.compress(x.to(dtype), 30)
    assert found.x_hat.dtype == dtype and found.x_hat.shape == x.shape
    assert (found.x_hat.float() - whole.compress(x, 30).x_hat).abs().mean() < 0.02


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"sigma must be .*0\.3 to 16, not 0"):
        Smoothing(0)
    with pytest.raises(ValueError, match="full must be above first, 2, not 2"):
        Smoothing(1, 2, 2)
    with pytest.raises(ValueError, match="smoothing needs an allocator"):
        Recipe(smoothing=Smoothing())
    with pytest.raises(TypeError, match="smoothing must be npp's Smoothing or None, not float"):
        Recipe(allocator=npp.Allocator(), smoothing=1.5)  # type: ignore[arg-type]
