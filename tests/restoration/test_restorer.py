"""A restorer changes nothing until it is trained, whatever the size, and survives its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npp
from npp.hevc import picture_strips
from npp.recipes import Parts, Recipe, ScaleRule
from npp.restoration import Restorer
from npp.restoration.strips import restored_in_strips
from npp.weight_files import WeightFiles


def _talking(upscale: int = 1) -> Restorer:
    """Untrained, with layers that say something."""
    torch.manual_seed(0)
    made = Restorer(width=16, depth=2, edge_width=8, upscale=upscale).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def x(photo: object) -> torch.Tensor:
    """(2, 3, 78, 109) in [0, 1]: no side is a multiple of anything."""
    one = torch.as_tensor(photo).permute(2, 0, 1)[:, :78, :109].float() / 255
    return torch.stack([one, one.flip(2)])


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (63, 130)])
def test_an_untrained_one_is_the_identity(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    assert torch.equal(Restorer()(x), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_shape_dtype_and_range_are_kept(x: torch.Tensor, dtype: torch.dtype) -> None:
    restored = _talking()(x.to(dtype))
    assert restored.shape == x.shape
    assert restored.dtype == dtype
    assert 0 <= restored.min() < restored.max() <= 1
    assert not torch.equal(restored, x.to(dtype))


def test_neighbours_in_the_batch_do_not_matter(x: torch.Tensor) -> None:
    together = _talking()(x)
    alone = torch.cat([_talking()(one[None]) for one in x])
    assert torch.allclose(together, alone, atol=1e-5)


def test_it_learns_to_take_noise_away(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    restorer = Restorer(width=16, depth=1, edge_width=8)
    noisy = (x + 0.1 * torch.randn_like(x)).clamp(0, 1)
    optimiser = torch.optim.Adam(restorer.parameters(), 2e-2)
    for _ in range(120):
        optimiser.zero_grad()
        (restorer(noisy) - x).square().mean().backward()
        optimiser.step()
    assert (restorer(noisy) - x).square().mean() < 0.7 * (noisy - x).square().mean()


def test_a_file_brings_it_back(tmp_path: Path, x: torch.Tensor) -> None:
    restorer = _talking()
    restorer.save(tmp_path / "restorer.safetensors")
    loaded = Restorer.load(tmp_path / "restorer.safetensors")
    assert not loaded.training
    assert loaded.settings == {"width": 16, "depth": 2, "edge_width": 8, "upscale": 1}
    assert torch.equal(loaded(x), restorer(x))


def test_other_files_are_refused(tmp_path: Path) -> None:
    npp.Preprocessor(width=8, depth=1).save(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no npp restorer"):
        Restorer.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="no file"):
        Restorer.load(tmp_path / "none.safetensors")
    path = tmp_path / "newer.safetensors"
    made = Restorer(width=8, depth=1)
    WeightFiles("restorer", tmp_path).write(path, "gan", made.settings, made.network.state_dict())
    with pytest.raises(ValueError, match=r"newer\.safetensors: network must be 'residual', not 'gan'$"):
        Restorer.load(path)


def test_a_file_is_loaded_onto_a_device(tmp_path: Path) -> None:
    Restorer(width=8, depth=1).save(tmp_path / "restorer.safetensors")
    loaded = Restorer.load(tmp_path / "restorer.safetensors", device="meta")
    assert {parameter.device.type for parameter in loaded.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"width": 4}, ValueError, "width must be .* 8 to 256, not 4"),
        ({"depth": 0}, ValueError, "depth must be .* 1 to 32, not 0"),
        ({"edge_width": 2.5}, ValueError, "edge_width"),
        ({"edge_width": 3}, ValueError, "edge_width must be .* 4 to 128, not 3"),
        ({"edge_width": 129}, ValueError, "edge_width must be .* 4 to 128, not 129"),
        ({"breadth": 8}, TypeError, "unknown setting 'breadth' of a restorer"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Restorer(**settings)


def test_wrong_pictures_are_named() -> None:
    with pytest.raises(TypeError, match=r"x_hat must be floating, in \[0, 1\], not torch.uint8"):
        Restorer()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"x_hat must be \(N, 3, H, W\).*not \(3, 8, 8\)"):
        Restorer()(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="divide samples of 0 to 255 by 255"):
        Restorer()(torch.full((1, 3, 8, 8), 200.0))


def test_cost_is_counted() -> None:
    restorer = Restorer()
    assert restorer.parameter_count() == sum(p.numel() for p in restorer.parameters())
    # By hand, a pixel: 3x3 and 2x2 convolutions at half and at a quarter of each side.
    edges, down, block, together, last = 12 * 24 * 9, 24 * 64 * 4, 64 * 64 * 9, 24 * 24 * 9, 24 * 12 * 9
    quarter, sixteenth = edges + together + last, 2 * down + 4 * 2 * block
    assert restorer.macs_per_pixel() == pytest.approx(quarter / 4 + sixteenth / 16, rel=0.01)


@pytest.mark.parametrize("upscale", [1, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_strips_give_what_the_whole_gives(count: int, upscale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    restorer, x = _talking(upscale), torch.rand(count, 3, 250, 94)
    with torch.no_grad():
        whole = restorer(x)
        for rows in (4, 116, 248):
            monkeypatch.setattr(picture_strips, "STRIP_PIXELS", rows * 96)
            torch.testing.assert_close(restorer(x), whole, atol=2e-6, rtol=0)


def test_the_mean_of_a_large_picture_in_half_precision_is_summed_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1600 places of 64 in a strip alone: their sum is beyond float16's greatest, 65504."""
    network, x = _talking().network, torch.rand(1, 3, 256, 256)
    shown: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _, given: shown.append(given[1]))
    monkeypatch.setattr(picture_strips, "STRIP_PIXELS", 100 * 256)
    with torch.no_grad():
        network.down.weight.zero_()
        network.down.bias.fill_(64.0)
        restored_in_strips(network.half(), x.half())
    assert len(shown) > 1
    for mean in shown:
        assert mean.dtype == torch.float16 and mean.tolist() == [[64.0] * 16]


def test_pictures_are_cut_only_where_one_alone_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows around a strip are worked on twice, so that thin strips of many pictures took times as long."""
    restorer, x, shown = _talking(), torch.rand(5, 3, 30, 40), []
    with torch.no_grad():
        whole = restorer(x)
        monkeypatch.setattr(picture_strips, "STRIP_PIXELS", 2 * 32 * 40 + 1)
        restorer.network.register_forward_pre_hook(lambda _, given: shown.append(tuple(given[0].shape)))
        torch.testing.assert_close(restorer(x), whole, atol=2e-6, rtol=0)
    assert shown == [(2, 3, 32, 40), (2, 3, 32, 40), (1, 3, 32, 40)]


@pytest.mark.parametrize("upscale", [1, 2])
def test_what_reaches_a_row_is_what_the_network_says(upscale: int) -> None:
    network = _talking(upscale).double().network
    x = torch.rand(1, 3, 256, 8, dtype=torch.float64)
    with torch.no_grad():
        picture = network.seen_of(x).mean((2, 3))
        before = network(x, picture)
        x[..., 128:, :] += 0.1
        changed = (network(x, picture) - before).abs().amax((0, 1, 3)) > 0
    first = int(changed.nonzero()[0]) / upscale
    assert 128 - network.reach <= first < 128 - network.reach + 2 * network.multiple


@pytest.mark.parametrize("upscale", [1, 2])
def test_onnx_gives_the_same(upscale: int, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    restorer = _talking(upscale)
    restorer.export_onnx(tmp_path / "a.onnx")
    session = runtime.InferenceSession(tmp_path / "a.onnx")
    assert [value.name for value in session.get_inputs()] == ["x_hat"]
    assert [value.name for value in session.get_outputs()] == ["x_restored"]
    for shape in ((3, 3, 37, 51), (1, 3, 16, 64), (1, 3, 1, 1)):
        x = torch.rand(shape)
        (found,) = session.run(None, {"x_hat": x.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), restorer(x), atol=2e-5, rtol=0)


def _recipe(scale: float = 1.0) -> Recipe:
    rule = ScaleRule({0: scale}) if scale < 1 else None
    return Recipe("test", scale=rule, restorer=_talking(), options={"effort": 1}).eval()


def test_a_recipe_restores_what_the_codec_gives(x: torch.Tensor) -> None:
    recipe = _recipe()
    assert recipe.restorer is not None
    with torch.no_grad():
        plain, restored = npp.compress(x, 37, effort=1), recipe.compress(x, 37)
        assert restored.bitstreams == plain.bitstreams
        assert torch.equal(restored.x_hat, recipe.restorer(plain.x_hat))
        left = recipe.compress(x, 37, parts=Parts(restorer=False))
    assert torch.equal(left.x_hat, plain.x_hat)


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_decoding_restores_as_compressing_does(x: torch.Tensor, scale: float, dtype: torch.dtype) -> None:
    recipe = _recipe(scale)
    with torch.no_grad():
        seen = recipe.compress(x, 37).x_hat
    files = recipe.encode(x, 37)
    decoded = recipe.decode(files, dtype=dtype)
    peak = 1.0 if dtype.is_floating_point else float(torch.iinfo(dtype).max)
    values = torch.stack([one.to(torch.float64) / peak for one in decoded])
    # Of 16 bits the decoder rounds less than of 8, which is where floats come from, too.
    assert (values - seen).abs().max() < (1e-5 if dtype.is_floating_point else 1 / 255)
    plain = recipe.decode(files, dtype=dtype, parts=Parts(restorer=False))
    assert not torch.equal(plain[0].float(), decoded[0].float())


def test_gray_and_alpha_go_through(x: torch.Tensor) -> None:
    recipe = _recipe()
    gray = recipe.decode(recipe.encode(x[0].mean(0, keepdim=True), 37))
    assert gray.shape == (1, 78, 109)
    with_alpha = torch.cat([x[0], torch.linspace(0, 1, 109).expand(1, 78, -1)])
    file = recipe.encode(with_alpha, 37)
    both = recipe.decode(file)
    assert torch.equal(both[3:], npp.decode(file)[3:])
    assert not torch.equal(both[:3], npp.decode(file)[:3])


def test_gray_is_the_luma_of_what_was_restored_as_colour(x: torch.Tensor) -> None:
    """By the weights of BT.601: 0.299 of red, 0.587 of green, 0.114 of blue."""
    recipe, gray = _recipe(), x.mean(1, keepdim=True)
    assert recipe.restorer is not None
    with torch.no_grad():
        plain, found = npp.compress(gray, 37, effort=1).x_hat, recipe.compress(gray, 37).x_hat
        red, green, blue = recipe.restorer(plain.expand(-1, 3, -1, -1)).unbind(1)
    for one, other in ((red, green), (green, blue), (red, blue)):
        assert (one - other).abs().mean() > 0.01
    wanted = 0.299 * red + 0.587 * green + 0.114 * blue
    torch.testing.assert_close(found[:, 0], wanted, atol=1e-6, rtol=0)
    decoded = recipe.decode(recipe.encode(gray, 37), dtype=torch.float32)
    torch.testing.assert_close(torch.stack(decoded)[:, 0], wanted, atol=1e-5, rtol=0)


def test_a_recipe_keeps_its_restorer(tmp_path: Path, x: torch.Tensor) -> None:
    recipe = _recipe()
    recipe.save(tmp_path / "recipe.safetensors")
    loaded = Recipe.load(tmp_path / "recipe.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded.compress(x, 40).x_hat, recipe.compress(x, 40).x_hat)


def test_refining_looks_through_the_restorer(x: torch.Tensor) -> None:
    recipe, looked = _recipe(0.5), []

    def task(pictures: torch.Tensor) -> torch.Tensor:
        looked.append(pictures.shape[-2:])
        return (pictures - x[:1]).square().mean((1, 2, 3))

    found = recipe.refine(x[:1], 40, task, steps=1, over="pixels")
    assert set(looked) == {x.shape[-2:]}
    restored = recipe.decode(found.bitstreams[0], dtype=torch.float32)
    assert torch.allclose(found.x_hat[0], restored, atol=1e-5)


def test_gradients_reach_restorer_and_picture(x: torch.Tensor) -> None:
    recipe, given = _recipe(), x.clone().requires_grad_()
    (recipe.compress(given, 37).x_hat - x).square().mean().backward()
    assert recipe.restorer is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in recipe.restorer.parameters())
    assert given.grad is not None
    assert given.grad.abs().sum() > 0


def test_large_pictures_in_half_precision_have_a_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over all of their places is above what half precision holds."""
    monkeypatch.setattr(picture_strips, "STRIP_PIXELS", 1 << 14)
    torch.manual_seed(0)
    network = npp.Restorer(width=8, depth=1, edge_width=4).network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        network.down.bias.fill_(30.0)
        x = torch.rand(1, 3, 512, 512)
        whole = restored_in_strips(network, x)
        half = restored_in_strips(network.half(), x.half())
    assert half.dtype == torch.float16 and bool(half.isfinite().all())
    torch.testing.assert_close(half.float(), whole, atol=0.05, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.uint8])
def test_what_is_decoded_belongs_to_no_graph_whatever_a_restorer_learns(
    x: torch.Tensor, dtype: torch.dtype
) -> None:
    recipe = _recipe()
    assert recipe.restorer is not None and all(p.requires_grad for p in recipe.restorer.parameters())
    found = recipe.decode(recipe.encode(x[0], 37), dtype=dtype)
    assert found.dtype == dtype and not found.requires_grad


def test_vmap_goes_through() -> None:
    restorer = npp.Restorer(width=8, depth=1, edge_width=4).eval()
    x = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(lambda one: restorer(one[None])[0])(x), restorer(x))


def test_vmap_goes_through_large_pictures() -> None:
    restorer = npp.Restorer(width=8, depth=1, edge_width=4).eval()
    x = torch.rand(2, 3, 1032, 1032)
    with torch.no_grad():
        mapped = torch.func.vmap(lambda one: restorer(one[None])[0])(x)
        torch.testing.assert_close(mapped, restorer(x), rtol=1e-4, atol=1e-4)


def test_numpys_numbers_can_be_saved(tmp_path: Path) -> None:
    made: Any = np.int64(8)
    npp.Restorer(width=made, depth=np.int64(1)).save(tmp_path / "r.safetensors")
    npp.Allocator(width=made, depth=1, strength=np.float32(0.5)).save(tmp_path / "a.safetensors")
    rule = npp.recipes.ScaleRule({30: 0.5}, input_size=np.int64(416), least=np.float32(0.5))
    npp.Recipe("r", scale=rule).save(tmp_path / "s.safetensors")
    assert npp.Recipe.load(tmp_path / "s.safetensors").scale == rule
