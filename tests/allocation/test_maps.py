"""Quantiser offsets from importance, and importance from boxes and masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import npp
from npp.allocation import box_importance, mask_importance, weight_for
from npp.codec.qp_maps import map_size


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 2), st.integers(0, 2**31))
def test_a_map_is_whole_centred_and_within_reach(h: int, w: int, strength: float, seed: int) -> None:
    importance = torch.randn(2, h, w, generator=torch.Generator().manual_seed(seed)).mul(4).exp()
    offsets = npp.qp_map(importance, strength)
    assert offsets.shape == (2, h, w) and torch.equal(offsets, offsets.round())
    assert offsets.abs().max() <= 12
    assert npp.qp_map(importance, strength, rounded=False).mean((1, 2)).abs().max() < 1e-5


def test_the_formula() -> None:
    """Twice the importance, 3 * strength qps less; neither smoothing nor the limit has a say here."""
    importance = torch.tensor([[1.0, 2.0], [4.0, 8.0]])
    offsets = npp.qp_map(importance, strength=1, sigma=0, limit=20, rounded=False)
    assert torch.allclose(offsets, torch.tensor([[4.5, 1.5], [-1.5, -4.5]]))
    assert torch.allclose(npp.qp_map(7 * importance, strength=1, sigma=0, limit=20, rounded=False), offsets)


def test_equal_importance_and_none_at_all_change_nothing() -> None:
    assert not npp.qp_map(torch.full((1, 3, 4), 5.0)).any()
    assert not npp.qp_map(torch.zeros(1, 3, 4)).any()


def test_a_block_of_no_importance_has_a_millionth_of_a_millionth_of_the_mean() -> None:
    """2^-40 of it: 39 doublings below the one other block, which has twice the mean."""
    for nothing in (0.0, 1e-30):
        offsets = npp.qp_map(torch.tensor([[1.0, nothing]]), strength=0.25, sigma=0, limit=51, rounded=False)
        assert offsets.tolist() == [pytest.approx([-0.75 * 41 / 2, 0.75 * 41 / 2])]
    above = npp.qp_map(torch.tensor([[1.0, 2.0**-30]]), strength=0.25, sigma=0, limit=51, rounded=False)
    assert above.tolist() == [pytest.approx([-0.75 * 15, 0.75 * 15])]


def test_autocast_changes_nothing() -> None:
    importance = torch.rand(2, 5, 7)
    wanted = npp.qp_map(importance, rounded=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = npp.qp_map(importance, rounded=False)
    assert found.dtype == torch.float32 and torch.equal(found, wanted)


def test_the_limit_holds_before_the_means_are_taken_off() -> None:
    importance = torch.ones(1, 8, 8)
    importance[0, 3:5, 3:5] = 1e9
    offsets = npp.qp_map(importance, limit=6, rounded=False)
    assert offsets.max() - offsets.min() <= 12
    assert offsets[0, 3, 3] < -5 and offsets[0, 0, 0] > 0


def test_smoothing_spreads_a_peak_and_keeps_its_place() -> None:
    importance = torch.ones(1, 9, 9)
    importance[0, 2, 6] = 64.0
    sharp = npp.qp_map(importance, sigma=0, rounded=False, limit=20)[0]
    smooth = npp.qp_map(importance, sigma=0.7, rounded=False, limit=20)[0]
    assert smooth.argmin() == sharp.argmin() == 2 * 9 + 6
    assert smooth[2, 5] < smooth[2, 3] - 0.5
    assert smooth.min() > sharp.min() + 3


def test_the_map_follows_importance_by_its_gradient() -> None:
    importance = torch.rand(1, 3, 3).add(0.1).requires_grad_()
    npp.qp_map(importance, sigma=0, rounded=False)[0, 1, 1].backward()
    assert importance.grad is not None
    assert importance.grad[0, 1, 1] < 0 < importance.grad[0, 0, 0]


def test_lists_single_maps_and_half_precision() -> None:
    maps = [torch.rand(2, 3) + 0.1, torch.rand(4, 5) + 0.1]
    found = npp.qp_map(maps)
    assert torch.equal(found[1], npp.qp_map(maps[1][None])[0])
    half = npp.qp_map(maps[0].half())
    assert half.dtype == torch.float32 and (half - found[0]).abs().max() <= 1
    assert npp.qp_map(maps[0].double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("importance", "kind", "message"),
    [
        (torch.ones(2, 3).long(), TypeError, "floating"),
        (torch.ones(3), ValueError, "shape"),
        (torch.ones(1, 0, 3), ValueError, "shape"),
        (torch.tensor([[1.0, math.nan]]), ValueError, "finite"),
        (torch.tensor([[1.0, -1.0]]), ValueError, "0 or more"),
    ],
)
def test_what_is_no_importance_is_refused(
    importance: torch.Tensor, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        npp.qp_map(importance)


@pytest.mark.parametrize(
    "wrong", [{"strength": -1}, {"strength": math.inf}, {"limit": 60}, {"sigma": math.nan}, {"rounded": 1}]
)
def test_settings_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        npp.qp_map(torch.ones(2, 3), **wrong)  # type: ignore[arg-type]


# Boxes and masks


def test_a_box_counts_for_the_part_of_a_block_that_it_covers() -> None:
    found = box_importance((40, 64), [[16, 0, 40, 16]], 17.0)
    assert found.shape == map_size(40, 64) == (3, 4)
    assert torch.equal(found[0], torch.tensor([1.0, 17, 9, 1]))
    assert (found[1:] == 1).all()


def test_overlapping_boxes_take_the_greater_and_light_boxes_give_bits_away() -> None:
    found = box_importance((32, 32), [[0, 0, 32, 32], [0, 0, 16, 16]], [4.0, 9.0])
    assert torch.equal(found, torch.tensor([[9.0, 4], [4, 4]]))
    assert torch.equal(box_importance((16, 32), [[0, 0, 16, 16]], 0.25), torch.tensor([[0.25, 1]]))


def test_margins_and_boxes_that_reach_out() -> None:
    found = box_importance((48, 48), [[-100, 16, 16, 32]], 16.0, margin=8)
    assert torch.equal(found[:, 0], torch.tensor([8.5, 16, 8.5]))
    assert torch.equal(found[:, 1], torch.tensor([4.75, 8.5, 4.75]))
    assert (found[:, 2] == 1).all()
    assert (box_importance((20, 20), []) == 1).all()


@pytest.mark.parametrize(("height", "width"), [(20, 24), (17, 40), (33, 16), (5, 7)])
@pytest.mark.parametrize("margin", [0, 3])
def test_a_box_that_reaches_the_edge_reaches_its_blocks_end(height: int, width: int, margin: int) -> None:
    """As the mask of the same pixels."""
    for x1, y1, x2, y2 in [
        (0, 0, width, height),
        (3, 2, width + 9, height),
        (width - 2, 1, width - 1, height - 1),
    ]:
        mask = torch.zeros(height, width)
        mask[max(0, y1 - margin) : y2 + margin, max(0, x1 - margin) : x2 + margin] = 1
        found = box_importance((height, width), [[x1, y1, x2, y2]], 9.0, margin=margin)
        assert torch.allclose(found, mask_importance(mask, 9.0)), (x1, y1, x2, y2)
    assert (box_importance((height, width), [0, 0, width, height], 9.0) == 9).all()


@pytest.mark.parametrize("box", [[24, 0, 31, 20], [0, 20, 24, 32], [-9, 0, 0, 20], [30, 30, 40, 40]])
def test_a_box_wholly_outside_counts_nowhere(box: list[int]) -> None:
    assert (box_importance((20, 24), [box], 9.0) == 1).all()


def test_a_mask_counts_pixels() -> None:
    mask = torch.zeros(24, 32, dtype=torch.bool)
    mask[:, :16] = True
    assert torch.equal(mask_importance(mask, 5.0), torch.tensor([[5.0, 1], [5, 1]]))
    assert torch.equal(mask_importance(mask[None].float() / 2, 5.0)[0, 0], torch.tensor([3.0, 1]))


def test_a_weight_is_as_many_qps_as_it_says() -> None:
    importance = box_importance((128, 128), [[0, 0, 64, 128]], weight_for(6))
    offsets = npp.qp_map(importance, sigma=0, rounded=False)
    assert float(offsets[0, 7] - offsets[0, 0]) == pytest.approx(6)


def test_every_weight_for_an_offset_is_taken() -> None:
    weight = weight_for(51)
    importance = box_importance((128, 128), [[0, 0, 64, 128]], weight)
    mask = torch.zeros(128, 128)
    mask[:, :64] = 1
    assert torch.equal(mask_importance(mask, weight), importance)
    offsets = npp.qp_map(importance, sigma=0, rounded=False, limit=51)
    assert float(offsets[0, 7] - offsets[0, 0]) == pytest.approx(51, rel=1e-4)
    with pytest.raises(ValueError, match=r"offset must be at most 11\.96 at strength 0\.1, not 12"):
        weight_for(12, 0.1)
    with pytest.raises(ValueError, match="offset must be at most"):
        weight_for(51, 1e-9)


def test_wrong_regions_are_named() -> None:
    with pytest.raises(ValueError, match="boxes must be finite"):
        box_importance((16, 16), [[0, 0, math.inf, 1]])
    with pytest.raises(ValueError, match="one for each of 1 boxes"):
        box_importance((16, 16), [[0, 0, 1, 1]], [1.0, 2.0])
    with pytest.raises(ValueError, match="size"):
        box_importance((0, 16), [])
    for boxes in (None, 3, "ab", [[0, 0, 1]], [[0, 0, 1, 1], [0, 0]], [[None] * 4]):
        with pytest.raises(ValueError, match="boxes must be"):
            box_importance((16, 16), boxes)
    for weights in ("x", None, ["x"], 2e12, -1.0, [[1.0], [2.0, 3.0]]):
        with pytest.raises(ValueError, match="weights must be"):
            box_importance((16, 16), [[0, 0, 1, 1]], weights)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="within 0 and 1"):
        mask_importance(torch.full((16, 16), 2.0))
    with pytest.raises(ValueError, match="shape"):
        mask_importance(torch.ones(1, 1, 16, 16))


def test_the_codec_spends_its_bits_inside_the_box(photo: np.ndarray) -> None:
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    box = (slice(None), slice(None), slice(16, 64), slice(32, 80))
    offsets = npp.qp_map(box_importance(x.shape[-2:], [[32, 16, 80, 64]]))
    plain, mapped = npp.compress(x, 36), npp.compress(x, 36, qp_map=offsets[None])

    def error(x_hat: torch.Tensor) -> float:
        return float((x_hat[box] - x[box]).square().mean())

    assert error(mapped.x_hat) < 0.9 * error(plain.x_hat)
    whole = float((mapped.x_hat - x).square().sum() - (mapped.x_hat[box] - x[box]).square().sum())
    before = float((plain.x_hat - x).square().sum() - (plain.x_hat[box] - x[box]).square().sum())
    assert whole > 1.1 * before
