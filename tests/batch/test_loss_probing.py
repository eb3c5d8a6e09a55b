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
    bits, losses = npp.loss_curves(pictures, _keep, recipe=used, qps=(26, 33, 43), effort=2)
    assert bits.shape == losses.shape == (3, 52)
    assert bits.dtype == losses.dtype == torch.float64
    for row, picture in enumerate(pictures):
        for qp in (26, 33, 43):  # the recipe halves pictures from qp 30 on
            if used is None:
                file = npp.encode(picture, qp, effort=2)
                shown = npp.decode(file, dtype=torch.float32)
            else:
                file = used.encode(picture, qp, effort=2)
                shown = used.decode(file, dtype=torch.float32)
            assert bits[row, qp] == pytest.approx(8 * len(file))
            assert losses[row, qp] == pytest.approx(float(_keep(_floats(picture))(shown[None])), rel=1e-5)
    assert bool((losses.diff(dim=1) >= 0).all()) or used is not None


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
    probed = losses[:, [24, 34, 44]]
    assert float(probed.min()) >= 0.9e-4 * float(probed.mean())
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


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": _pictures()[0]}, TypeError, "images must be several pictures"),
        ({"images": []}, npp.EncodeError, "images is an empty batch"),
        ({"qps": (30,)}, ValueError, r"qps must be at least two different ones, not \[30\]"),
        ({"qps": (30, 52)}, ValueError, "qp must be"),
        ({"keep": lambda x: lambda shown: shown.mean() * float("nan")}, npp.EncodeError, "no finite numbers"),
        ({"efort": 1}, TypeError, "efort"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"images": _pictures()[:2], "keep": _keep, **change}
    with pytest.raises(error, match=message):
        npp.loss_curves(given.pop("images"), given.pop("keep"), **given)
