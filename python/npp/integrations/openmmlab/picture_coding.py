"""Pictures of a pipeline of mmengine through a recipe and the real codec: raw, of mixed sizes, BGR."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from npp.gradient.pairing import compress
from npp.gradient.surrogates import Surrogate
from npp.recipes import Parts, Recipe
from npp.training.recipe_model import PreparedBatch

_PEAK = 255.0
_NORMALISED = 16.0  # below it, and with values below 0, samples are no longer 0 to 255
_OVERSHOOT = 5.0  # so much of the highest value a filter that resizes may go below 0
_FEW = 16  # different samples of a raw picture that is nearly black, by a change of its contrast too
_FAR = 255.0  # how far a filter that resizes may overshoot either end


class CodedPictures(NamedTuple):
    """A batch after the codec.

    Attributes:
        pictures: as they were given, a tensor (N, C, H, W) or a list of (C, H, W); floats from 0 to 255.
        bpp: (N,) bits of the whole file for each pixel of the picture that was given.
        mse: (N,) of the filtered picture against the one that was given, both at the size that is coded, for
            pixels in [0, 1].
        energy: (N,) mean square of the map's offsets, in squared qps; zeros without a map.
        sizes: bytes of each file.
    """

    pictures: Tensor | list[Tensor]
    bpp: Tensor
    mse: Tensor
    energy: Tensor
    sizes: list[int]


def _by_shape(pictures: Iterable[Tensor]) -> list[list[int]]:
    """The indices of the pictures of each shape: those can be one batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(pictures):
        groups.setdefault(tuple(picture.shape), []).append(index)
    return list(groups.values())


def check_raw(name: str, picture: Tensor, whose: str) -> None:
    """Raises ValueError unless samples are from 0 to 255, but for the overshoot of a filter that resizes.

    Args:
        name: what the message calls the picture.
        picture: of any shape and kind of numbers.
        whose: the end of the message, which says what normalises instead.
    """
    if picture.dtype == torch.uint8 or not picture.numel():
        return
    low, high = float(picture.min()), float(picture.max())
    overshoot = _FAR if picture.is_floating_point() else 0
    wrong = not (-overshoot <= low and high <= _PEAK + overshoot)  # also where one is no number
    if picture.is_floating_point() and not wrong:
        normalised = high < _NORMALISED and -low > high / _OVERSHOOT
        wrong = normalised or (low >= 0 and high <= 1 and len(torch.unique(picture)) > _FEW)
    if wrong:
        raise ValueError(
            f"{name} must be raw pictures from 0 to 255, not from {low:.5g} to {high:.5g}: "
            f"the pipeline must not normalise or scale before, {whose}"
        )


def _check(picture: Tensor) -> None:
    """Raises ValueError unless this is a picture (C, H, W) of 1 or 3 channels with raw samples."""
    if picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise ValueError(f"inputs must be pictures (C, H, W) of 1 or 3 channels, not {tuple(picture.shape)}")
    check_raw("inputs", picture, "that is the inner model's data preprocessor's part")


def _as_rgb(pictures: Sequence[Tensor], bgr: bool) -> Tensor:
    """Joins raw pictures of one size to a batch (N, C, H, W) of RGB floats in [0, 1]."""
    x = torch.stack(list(pictures)).float() / _PEAK
    return (x.flip(1) if bgr else x).clamp(0, 1)


def _as_raw(x: Tensor, bgr: bool) -> Tensor:
    """Undoes :func:`_as_rgb` for a batch: samples from 0 to 255, in the order of channels that was given."""
    return (x.flip(1) if bgr else x) * _PEAK


def code_pictures(
    recipe: Recipe,
    inputs: Tensor | Sequence[Tensor],
    qp: int,
    *,
    bgr: bool,
    surrogate: Surrogate,
    threads: int | None,
    options: Mapping[str, Any],
) -> CodedPictures:
    """Codes pictures, those of one size together.

    Args:
        recipe: prepares the pictures for the codec and restores them behind it.
        inputs: (N, C, H, W), or pictures (C, H, W) of any sizes, raw from 0 to 255.
        qp: 0 to 51.
        bgr: whether their channels are in that order.
        surrogate, threads: as in :func:`npp.compress`.
        options: options of the codec.

    Raises:
        ValueError: these are no raw pictures.
    """
    raw = list(inputs)
    for picture in raw:
        _check(picture)
    pictures: list[Tensor] = list(raw)
    columns: list[Tensor] = list(raw)
    sizes = [0] * len(raw)
    for indices in _by_shape(raw):
        prepared = _prepared(recipe, _as_rgb([raw[index] for index in indices], bgr), qp)
        coded = compress(
            prepared.x_pre, qp, qp_map=prepared.qp_map, surrogate=surrogate, threads=threads, **options
        )
        batch = prepared.decoded(coded, recipe.restorer)
        decoded, mse, energy = _as_raw(batch.x_hat, bgr), batch.mse(), batch.energy().float()
        for row, index in enumerate(indices):
            pictures[index] = decoded[row]
            columns[index] = torch.stack([batch.bpp[row], mse[row], energy[row]])
            sizes[index] = len(coded.bitstreams[row])
    bpp, mse, energy = torch.stack(columns).unbind(1)
    outputs = torch.stack(pictures) if isinstance(inputs, Tensor) else pictures
    return CodedPictures(outputs, bpp, mse, energy, sizes)


def _prepared(recipe: Recipe, x: Tensor, qp: int) -> PreparedBatch:
    """Prepares pictures (N, C, H, W) of one size for the codec at a qp."""
    small = recipe.prepare(x, qp, Parts(filter=False, qp_map=False)).x
    x_pre, qp_map = recipe.prepare(small, qp, Parts(scale=False))
    return PreparedBatch((x.shape[-2], x.shape[-1]), small, x_pre, qp_map)
