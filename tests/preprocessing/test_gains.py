"""Gains of DCT coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from preprocessors import SMALL, make

import npp
from npp import Preprocessor
from npp.hevc.dct import block_dct, forward_dct, inverse_dct
from npp.hevc.planes import split_planes


@pytest.mark.parametrize("shape", [(2, 3, 40, 56), (1, 3, 37, 51), (1, 3, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("changes", [{}, {"luma_only": True, "floor": 0.3}, {"depth": 0}, {"table": False}])
def test_gains_start_as_the_identity(
    shape: tuple[int, ...], dtype: torch.dtype, changes: dict[str, Any]
) -> None:
    x = torch.rand(shape, dtype=dtype)
    preprocessor = Preprocessor("gains", **{**SMALL["gains"], **changes})
    assert torch.equal(preprocessor(x, 30), x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(preprocessor(x, 30), x)


@pytest.mark.parametrize("luma_only", [False, True])
def test_gains_keep_the_mean_of_every_block(luma_only: bool) -> None:
    network = make("gains", 1.0, luma_only=luma_only).filter
    x = torch.rand(2, 3, 40, 56)
    y = network(x, torch.tensor([22.0, 45.0]))
    assert (y - x).abs().max() > 0.1
    means = torch.nn.functional.avg_pool2d(y - x, 8)
    assert means.abs().max() < 1e-5


@pytest.mark.parametrize("floor", [0.0, 0.4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_gains_are_bounded(floor: float, sign: int) -> None:
    preprocessor = Preprocessor("gains", depth=0, floor=floor)
    table = preprocessor.filter.table
    with torch.no_grad():
        table.by_coefficient[0, 0] = 100.0 * sign
    x = torch.rand(1, 1, 16, 24).expand(-1, 3, -1, -1)
    y = preprocessor.filter(x, torch.tensor([34.0]))
    mean = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x, 8), scale_factor=8.0)
    gain = floor if sign < 0 else 2 - floor
    torch.testing.assert_close(y, mean + gain * (x - mean))


@pytest.mark.parametrize(("floor", "gain"), [(0.0, 0.75508), (0.4, 0.85305)])
def test_a_gain_is_the_tanh_of_half_the_logit(floor: float, gain: float) -> None:
    """1 + (1 - floor) tanh(-0.25) where the logit is -0.5: ten times the table's weight."""
    preprocessor = Preprocessor("gains", depth=0, floor=floor)
    with torch.no_grad():
        preprocessor.filter.table.by_coefficient[0, 0] = -0.05
    x = torch.rand(1, 1, 16, 24).expand(-1, 3, -1, -1)
    y = preprocessor.filter(x, torch.tensor([34.0]))
    mean = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x, 8), scale_factor=8.0)
    torch.testing.assert_close(y, mean + gain * (x - mean), atol=1e-5, rtol=0)


def test_gains_can_start_as_a_blur(tmp_path: Path) -> None:
    sigmas = {25: 0.5, 45: 1.0}
    x = torch.rand(2, 3, 37, 51)
    gains = npp.Preprocessor("gains", sigmas=sigmas)
    assert torch.equal(gains(x, [30, 44]), npp.Preprocessor("blur", sigmas=sigmas)(x, [30, 44]))
    assert gains.macs_per_pixel() > npp.Preprocessor("gains").macs_per_pixel()
    gains.save(tmp_path / "gains.safetensors")
    loaded = npp.Preprocessor.load(tmp_path / "gains.safetensors")
    assert loaded.settings["sigmas"] == sigmas
    assert torch.equal(loaded(x, 33), gains(x, 33))


def test_gains_of_luma_only_leave_chroma() -> None:
    x, network = torch.rand(1, 3, 16, 24), make("gains", luma_only=True).filter
    before, after = split_planes(x), split_planes(network(x, torch.tensor([34.0])))
    assert (before.y - after.y).abs().max() > 0.01
    torch.testing.assert_close(before.cb, after.cb)
    torch.testing.assert_close(before.cr, after.cr)


def test_one_weight_of_the_table_blurs_and_saves_bits(photo: np.ndarray) -> None:
    x = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    preprocessor = Preprocessor("gains", depth=0)
    with torch.no_grad():
        preprocessor.filter.table.by_profile[0, 0] = -0.5
        y = preprocessor(x, 34)
    before, after = (block_dct(split_planes(p).y[:, 0], 8).square().sum((0, 1, 3)) for p in (x, y))
    kept = after / before
    assert kept[0, 1] > 0.9
    assert kept[7, 7] < 0.01
    assert npp.compress(y, 34, effort=0).bpp < npp.compress(x, 34, effort=0).bpp


def test_table_knows_the_level() -> None:
    """A gain that falls with the level hits large coefficients and leaves small ones."""
    preprocessor = Preprocessor("gains", depth=0, luma_only=True)
    with torch.no_grad():
        preprocessor.filter.table.by_coefficient[1, 0] = -1.0
    ac = torch.zeros(1, 63, 1, 2)
    ac[0, 5, 0] = torch.tensor([0.0005, 1.0])
    x = (0.5 + inverse_dct(ac, 8)).expand(-1, 3, -1, -1)
    _, after = forward_dct(preprocessor.filter(x, torch.tensor([34.0]))[:, :1], 8)
    kept = after[0, 5, 0] / ac[0, 5, 0]
    assert kept[0] > 0.9
    assert kept[1] < 0.1


def test_default_gains_are_small() -> None:
    assert 50_000 <= Preprocessor().parameter_count() <= 300_000


def test_macs_of_gains_are_the_hand_count() -> None:
    width, depth = 8, 2
    body = 96 * width + depth * (9 * width + 2 * width * 2 * width) + width * 93
    transforms = 64 * 64 + 63 * 64 + 2 * (16 * 16 + 15 * 16)
    expected = (body + transforms) / 64
    assert Preprocessor("gains", width=width, depth=depth).macs_per_pixel() == pytest.approx(expected, 1e-3)


@pytest.mark.parametrize("changes", [{}, {"luma_only": True}, {"depth": 0}])
@pytest.mark.parametrize("shape", [(2, 3, 648, 424), (1, 3, 8, 262_200), (3, 3, 280, 304)])
def test_large_pictures_and_many_are_filtered_as_small_ones_are(
    shape: tuple[int, ...], changes: dict[str, Any]
) -> None:
    """Without a gradient the work is cut into strips or groups, which nobody shall see."""
    network = make("gains", 1.0, **changes).filter.double()
    x, qp = torch.rand(shape).double(), torch.tensor([22.0, 45.0, 33.0][: shape[0]]).double()
    whole = network(x, qp)
    assert (whole - x).abs().max() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(network(x, qp), whole, rtol=0, atol=1e-9)
        alone = torch.cat([network(one, q) for one, q in zip(x.split(1), qp.split(1), strict=True)])
        torch.testing.assert_close(alone, network(x, qp), rtol=0, atol=1e-9)


def test_large_pictures_are_the_identity_until_gains_are_trained() -> None:
    x = torch.rand(1, 3, 648, 424)
    with torch.no_grad():
        assert torch.equal(Preprocessor("gains", **SMALL["gains"])(x, 30), x)


def test_with_weights_in_half_precision_only_the_body_is_in_it() -> None:
    """What is coarse is the gain; a pixel keeps float32, as the docs say."""
    x = torch.rand(2, 3, 40, 56)
    table, both = make("gains", depth=0), make("gains")
    wanted = table(x, 30), both(x, 30)
    torch.testing.assert_close(table.half()(x, 30), wanted[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(both.half()(x, 30), wanted[1], atol=2e-2, rtol=0)
    assert both(x, 30).dtype == torch.float32
