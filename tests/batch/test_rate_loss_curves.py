"""Curves of bits and losses: those of the files themselves, in all forms of pictures, and named refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from recipe_files import made_recipe
from torch import Tensor

import npp
from npp.gradient.prediction import PictureLoss

SIDE = 64


def _pictures() -> list[np.ndarray]:
    photo = skimage.data.astronaut()
    return [photo[y : y + SIDE, 150 : 150 + SIDE + 8 * y // 100] for y in (0, 100, 300)]


def _keep(x: Tensor) -> PictureLoss:
    """Squared error, as a judge that can be computed by hand."""
    return lambda shown: ((shown - x) ** 2).mean(dim=(1, 2, 3))


def _floats(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("recipe", [None, "made"])
def test_at_the_probed_qps_they_are_what_files_take_and_lose(recipe: str | None) -> None:
    pictures = _pictures()
    used = None if recipe is None else made_recipe()
    bits, losses = npp.loss_curves(pictures, _keep, recipe=used, qps=(15, 33, 43), effort=2)
    assert bits.shape == losses.shape == (3, 52)
    assert bits.dtype == losses.dtype == torch.float64
    for row, picture in enumerate(pictures):
        for qp in (15, 33, 43):  # the recipe halves pictures from qp 30 on
            if used is None:
                file = npp.encode(picture, qp, effort=2)
                shown = npp.decode(file, dtype=torch.float32)
            else:
                file = used.encode(picture, qp, effort=2)
                shown = used.decode(file, dtype=torch.float32)
            assert bits[row, qp] == pytest.approx(8 * len(file))
            assert losses[row, qp] == pytest.approx(float(_keep(_floats(picture))(shown[None])), rel=1e-5)
    assert bool((losses.diff(dim=1) >= 0).all()) or used is not None


def test_files_are_made_with_little_effort_and_shown_as_any_decoder_shows_them() -> None:
    """With the effort 1 that rate curves have, and without the recipe's restorer."""
    pictures = _pictures()[:2]
    bits, losses = npp.loss_curves(pictures, _keep)
    sizes = [[8 * len(file) for file in npp.encode(pictures, 34, effort=effort)] for effort in (1, 2, 8)]
    assert bits[:, 34].tolist() == pytest.approx(sizes[0]) and sizes[0] not in sizes[1:]
    torch.manual_seed(0)
    restorer = npp.Restorer(width=8, depth=1, edge_width=4).eval()
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    restored = npp.loss_curves(pictures, _keep, recipe=npp.Recipe("restored", restorer=restorer))
    assert torch.equal(restored.divergence, losses) and torch.equal(restored.bits, bits)


def test_many_pictures_are_those_of_each_alone() -> None:
    pictures = [np.roll(_pictures()[0], 3 * shift, 0) for shift in range(18)]
    together = npp.loss_curves(pictures, _keep)
    apart = npp.loss_curves(pictures[16:], _keep)
    assert torch.equal(together.bits[16:], apart.bits)
    assert torch.equal(together.divergence[16:], apart.divergence)
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    assert torch.equal(npp.loss_curves(batch, _keep).divergence, together.divergence)


def test_next_to_nothing_is_one_small_loss() -> None:
    """A picture of one colour comes back as it was; its losses do not draw the set's bits anywhere."""
    pictures = [np.full((SIDE, SIDE, 3), 128, np.uint8), *_pictures()]
    bits, losses = npp.loss_curves(pictures, _keep)
    sampled = losses[:, [24, 34, 44]]
    assert float(sampled.min()) >= 0.9e-4 * float(sampled.mean())
    found = npp.share_bits(bits, float(bits[:, 36].sum()), divergence=losses, belief=0.5)
    assert found.total_bits <= float(bits[:, 36].sum())


def test_pictures_that_lose_more_get_more_bits() -> None:
    picture = _pictures()[0]
    factor = iter([1.0, 64.0])

    def keep(x: Tensor) -> PictureLoss:
        more = next(factor)
        return lambda shown: more * _keep(x)(shown)

    bits, losses = npp.loss_curves([picture, picture.copy()], keep)
    found = npp.share_bits(bits, float(bits[:, 36].sum()), divergence=losses, belief=0.5)
    assert found.qps[0] > 36 > found.qps[1]


def test_the_network_sees_colour_whatever_there_is() -> None:
    photo = _pictures()[0]
    rgba = np.dstack([photo, np.full(photo.shape[:2], 200, np.uint8)])
    seen: list[tuple[int, ...]] = []

    def keep(x: Tensor) -> PictureLoss:
        def lost(shown: Tensor) -> float:  # a plain number will do
            seen.append((*x.shape, *shown.shape))
            return float((x - shown).square().mean())

        return lost

    npp.loss_curves([photo, photo[..., 0], rgba], keep)
    assert seen == [(1, 3, SIDE, photo.shape[1]) * 2] * 9


def test_what_is_wrong_is_named_by_its_place() -> None:
    """Though pictures are coded several times, and some more often than others."""
    pictures: list[Any] = [torch.from_numpy(one).permute(2, 0, 1) / 255 for one in _pictures() * 7]
    pictures[18] = pictures[18] * float("nan")
    with pytest.raises(npp.EncodeError, match=r"image\[18\]") as caught:
        npp.loss_curves(pictures, _keep, recipe=made_recipe())
    assert caught.value.index == 18
    pictures[18] = pictures[0]
    calls = iter(range(100))

    def keep(x: Tensor) -> PictureLoss:
        factor = float("inf") if next(calls) == 17 else 1.0
        return lambda shown: factor * _keep(x)(shown)

    with pytest.raises(npp.EncodeError, match=r"images\[17\]: losses must be finite") as caught:
        npp.loss_curves(pictures, keep)
    assert caught.value.index == 17


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": _pictures()[0]}, TypeError, "images must be several pictures"),
        ({"images": []}, npp.EncodeError, "images is an empty batch"),
        ({"qps": (30,)}, ValueError, r"qps must be at least two different ones, not \[30\]"),
        ({"qps": (30, 52)}, ValueError, r"qps\[1\] must be an integer from 0 to 51, not 52"),
        ({"qps": 30}, ValueError, "qps must be at least two different ones, not 30"),
        (
            {"keep": lambda x: lambda shown: shown.mean() * float("nan")},
            npp.EncodeError,
            r"images\[0\]: losses must be finite and at least 0, and the network's are nan, nan, nan",
        ),
        ({"keep": lambda x: lambda shown: -shown.mean()}, npp.EncodeError, "finite and at least 0"),
        (
            {"keep": lambda x: lambda shown: shown},
            ValueError,
            r"keep gave a loss of shape \(1, 3, .*\(1,\) or \(\)",
        ),
        (
            {"keep": lambda x: lambda shown: shown.mean((1, 2))},
            ValueError,
            r"keep gave a loss of shape \(1, ",
        ),
        ({"keep": lambda x: lambda shown: torch.ones(2)}, ValueError, r"keep gave a loss of shape \(2,\)"),
        ({"keep": lambda x: lambda shown: None}, TypeError, "keep gave a loss of NoneType"),
        ({"efort": 1}, TypeError, "efort"),
        ({"errors": "return"}, TypeError, "errors"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"images": _pictures()[:2], "keep": _keep, **change}
    with pytest.raises(error, match=message):
        npp.loss_curves(given.pop("images"), given.pop("keep"), **given)


def test_a_judge_that_changes_its_input_finds_the_same() -> None:
    def changing(x: Tensor) -> PictureLoss:
        clean = x.sub_(0.5).mul(1)
        return lambda shown: (shown.sub_(0.5) - clean).square().mean((1, 2, 3))

    gray = [picture[:, :, 0] for picture in _pictures()]
    torch.testing.assert_close(npp.loss_curves(gray, changing), npp.loss_curves(gray, _keep))


def test_qps_of_curves_come_in_any_order_and_are_checked_first(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [photo[:32, :32], photo[:48, :32]]
    assert torch.equal(npp.rate_curves(pictures, qps=(44, 24)), npp.rate_curves(pictures, qps=[24, 44, 24]))
    monkeypatch.setattr("npp.batch.rate_loss_curves.Recipe.encode", None)
    for qps, message in (
        ([], r"qps must be at least two different ones, not \[\]"),
        ([30, 30], "qps must be at least two"),
        (30, "qps must be at least two different ones, not 30"),
        ((24, 60), r"qps\[1\] must be an integer from 0 to 51, not 60"),
        ((24, 30.5), r"qps\[1\] must be an integer"),
    ):
        with pytest.raises(ValueError, match=message):
            npp.rate_curves(pictures, qps=qps)  # type: ignore[arg-type]


def test_curves_tell_what_files_take(photo: np.ndarray) -> None:
    """Between the qps that were encoded within 6 %, and nowhere rising."""
    images = [photo, skimage.data.coffee()[:96, :96], skimage.data.chelsea()[100:164, 100:228]]
    bits = npp.rate_curves(images)
    assert bits.shape == (3, 52)
    assert bool((bits.diff(dim=1) <= 0).all())
    for qp in (27, 30, 38, 51):
        real = torch.tensor([8.0 * len(file) for file in npp.encode(images, qp, effort=1)])
        assert torch.allclose(bits[:, qp].float(), real, rtol=0.06), qp


def test_one_picture_alone_has_no_curves() -> None:
    for one in (torch.rand(3, 16, 16), np.zeros((16, 16), np.uint8)):
        with pytest.raises(TypeError, match="images must be several pictures, a list or"):
            npp.rate_curves(one)  # type: ignore[arg-type]


def test_rates_with_a_recipe_are_those_of_its_files() -> None:
    """Also where it begins to halve pictures; they are as npp encode --share finds them at the same qps."""
    pictures, recipe = _pictures(), made_recipe()
    bits = npp.rate_curves(pictures, recipe=recipe)
    for row, picture in enumerate(pictures):
        for qp in (0, 29, 30, 34, 44, 51):
            assert bits[row, qp] == pytest.approx(8 * len(recipe.encode(picture, qp))), qp
    found = npp.loss_curves(pictures, _keep, recipe=recipe, qps=(24, 34, 44))
    assert torch.equal(npp.rate_curves(pictures, recipe=recipe, qps=(24, 34, 44)), found.bits)
    slow = npp.rate_curves(pictures, recipe=recipe, effort=3)
    assert slow[0, 34] == pytest.approx(8 * len(recipe.encode(pictures[0], 34, effort=3)))


def test_a_recipe_s_name_is_no_recipe() -> None:
    with pytest.raises(TypeError, match=r"recipe must be an npp\.Recipe or None, not 'detection'"):
        npp.rate_curves(_pictures(), recipe="detection")  # type: ignore[arg-type]
