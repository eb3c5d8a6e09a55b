"""A restorer with upscale 2 gives pictures twice as high and wide: for what was coded at half its size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import npp
from npp.recipes import Parts, Recipe, ScaleRule
from npp.restoration import Restorer


def _talking(seed: int = 0) -> Restorer:
    """Untrained, with layers that say something."""
    torch.manual_seed(seed)
    made = Restorer(width=16, depth=2, edge_width=8, upscale=2).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def _recipe(restorer: Restorer, factor: float = 0.5) -> Recipe:
    return Recipe("test", scale=ScaleRule({30: factor}), restorer=restorer, options={"effort": 1}).eval()


@pytest.fixture(scope="module")
def x(photo: object) -> torch.Tensor:
    """(1, 3, 78, 109) in [0, 1]: no side is a multiple of anything."""
    return torch.as_tensor(photo).permute(2, 0, 1)[None, :, :78, :109].float() / 255


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (63, 130)])
def test_an_untrained_one_enlarges_as_recipes_do(size: tuple[int, int]) -> None:
    small = torch.rand(2, 3, *size)
    inner = F.interpolate(small, scale_factor=2, mode="bicubic").clamp(0, 1)
    found = Restorer(upscale=2)(small)
    assert found.shape == (2, 3, 2 * size[0], 2 * size[1])
    # Sides that are no multiples are lengthened first by their last row, which bicubic filters reach for.
    torch.testing.assert_close(found, inner, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_dtype_and_range_are_kept(x: torch.Tensor, dtype: torch.dtype) -> None:
    restored = _talking()(x.to(dtype))
    assert restored.shape == (1, 3, 156, 218)
    assert restored.dtype == dtype
    assert 0 <= restored.min() < restored.max() <= 1


@pytest.mark.parametrize("upscale", [0, 3, 1.5])
def test_other_factors_are_refused(upscale: int) -> None:
    with pytest.raises(ValueError, match=f"upscale must be .* 1 to 2, not {upscale}"):
        Restorer(upscale=upscale)


def test_it_learns_detail_that_a_bicubic_filter_does_not_give(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    whole = x[..., :76, :108]
    small = F.interpolate(whole, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)
    restorer = Restorer(width=16, depth=1, edge_width=8, upscale=2)
    plain = (restorer(small) - whole).square().mean()
    optimiser = torch.optim.Adam(restorer.parameters(), 2e-2)
    for _ in range(150):
        optimiser.zero_grad()
        (restorer(small) - whole).square().mean().backward()
        optimiser.step()
    assert (restorer(small) - whole).square().mean() < 0.8 * plain


def test_a_file_brings_it_back(tmp_path: Path, x: torch.Tensor) -> None:
    restorer = _talking()
    restorer.save(tmp_path / "restorer.safetensors")
    loaded = Restorer.load(tmp_path / "restorer.safetensors")
    assert loaded.upscale == 2
    assert torch.equal(loaded(x), restorer(x))


def test_cost_is_counted_for_pixels_of_what_is_decoded() -> None:
    # The same network looks at the same number of places for each pixel of what it gives.
    assert Restorer(upscale=2).macs_per_pixel() == pytest.approx(
        4 * Restorer().macs_per_pixel() - 12 * 24 * 9 + 3 * 24 * 9, rel=0.01
    )


def test_half_the_size_comes_back_through_it(x: torch.Tensor) -> None:
    recipe = _recipe(_talking())
    assert recipe.restorer is not None
    with torch.no_grad():
        seen = recipe.compress(x, 37).x_hat
        file = recipe.encode(x[0], 37)
        small = npp.decode(file, dtype=torch.float32)[None]
        large = recipe.restorer(small)
    assert seen.shape == x.shape and large.shape == (1, 3, 2 * small.shape[2], 2 * small.shape[3])
    # Coded sizes are even, so that twice as much is a pixel or two off.
    wanted = F.interpolate(large, (78, 109), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(seen, wanted, atol=0.02, rtol=0)
    torch.testing.assert_close(recipe.decode(file, dtype=torch.float32)[None], seen, atol=1e-5, rtol=0)
    bare = recipe.decode(file, dtype=torch.float32, parts=Parts(restorer=False))
    assert (bare - seen[0]).abs().mean() > 0.003


def test_pictures_that_kept_their_size_are_left_alone(x: torch.Tensor) -> None:
    recipe = _recipe(_talking())
    with torch.no_grad():
        seen = recipe.compress(x, 25).x_hat
        assert torch.equal(seen, npp.compress(x, 25, effort=1).x_hat)
    file = recipe.encode(x[0], 25)
    assert torch.equal(recipe.decode(file), npp.decode(file))


@pytest.mark.parametrize("size", [(20, 100), (100, 20)])
def test_it_is_asked_where_one_side_alone_was_coded_smaller(size: tuple[int, int]) -> None:
    """Coded sides are even: .95 of 20 pixels are 20 again, of 100 they are 96."""
    x = F.interpolate(torch.rand(1, 3, 8, 8), size, mode="bilinear")
    recipe = _recipe(_talking(), 0.95)
    assert recipe.restorer is not None
    with torch.no_grad():
        seen = recipe.compress(x, 37).x_hat
        small = npp.decode(recipe.encode(x[0], 37), dtype=torch.float32)[None]
        large = recipe.restorer(small)
    assert sorted(small.shape[-2:]) == [20, 96] and sorted(large.shape[-2:]) == [40, 192]
    wanted = F.interpolate(large, size, mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)


def test_less_than_the_picture_had_is_enlarged_as_recipes_do(x: torch.Tensor) -> None:
    """Filters that antialias are other ones for what becomes larger too: softer."""
    recipe = _recipe(_talking(), 0.25)
    assert recipe.restorer is not None
    with torch.no_grad():
        seen = recipe.compress(x, 37).x_hat
        large = recipe.restorer(npp.decode(recipe.encode(x[0], 37), dtype=torch.float32)[None])
    assert large.shape[-2:] == (40, 56)
    wanted = F.interpolate(large, (78, 109), mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)
    other = F.interpolate(large, (78, 109), mode="bicubic", antialias=True).clamp(0, 1)
    assert (other - wanted).abs().max() > 0.01


def test_more_than_the_picture_had_is_reduced_without_aliasing() -> None:
    """Stripes of one pixel that the network might give would come back as broad ones."""
    x = torch.rand(1, 3, 80, 80)
    recipe = _recipe(_talking(), 0.8)
    assert recipe.restorer is not None
    with torch.no_grad():
        seen = recipe.compress(x, 37).x_hat
        large = recipe.restorer(npp.decode(recipe.encode(x[0], 37), dtype=torch.float32)[None])
    assert large.shape[-2:] == (128, 128)
    wanted = F.interpolate(large, (80, 80), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)


def test_gray_and_alpha_go_through(x: torch.Tensor) -> None:
    recipe = _recipe(_talking())
    assert recipe.decode(recipe.encode(x[0].mean(0, keepdim=True), 37)).shape == (1, 78, 109)
    ramp = torch.linspace(0, 1, 109).expand(1, 78, -1)
    file = recipe.encode(torch.cat([x[0], ramp]), 37)
    both, bare = recipe.decode(file), recipe.decode(file, parts=Parts(restorer=False))
    assert both.shape == (4, 78, 109)
    assert (both[3].int() - bare[3].int()).abs().max() <= 2
    assert (both[:3].int() - bare[:3].int()).abs().max() > 5


def test_alpha_stays_in_its_range_where_a_bicubic_filter_overshoots(x: torch.Tensor) -> None:
    edges = torch.zeros(1, 1, 64, 64)
    edges[..., 16:48, 16:48] = 1
    pictures = torch.cat([x[..., :64, :64], edges], 1)
    recipe = _recipe(_talking())
    with torch.no_grad():
        alpha = recipe.compress(pictures, 37).x_hat[:, 3:]
        file = recipe.encode(pictures[0], 37)
        small = npp.decode(file, dtype=torch.float32)[None, 3:]
    wanted = F.interpolate(small, scale_factor=2, mode="bicubic")
    assert wanted.amin() < -0.01 and wanted.amax() > 1.01
    torch.testing.assert_close(alpha, wanted.clamp(0, 1), atol=0.02, rtol=0)
    assert (alpha.amin(), alpha.amax()) == (0, 1)
    off = recipe.decode(file)[3].double() - 255 * wanted[0, 0].clamp(0, 1).double()
    assert off.abs().max() < 0.6, "a sample beyond the range would come round at its other end"


def test_gradients_reach_restorer_and_picture(x: torch.Tensor) -> None:
    recipe, given = _recipe(_talking()), x.clone().requires_grad_()
    (recipe.compress(given, 37).x_hat - x).square().mean().backward()
    assert recipe.restorer is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in recipe.restorer.parameters())
    assert given.grad is not None and given.grad.abs().sum() > 0
