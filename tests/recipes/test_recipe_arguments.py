"""What a recipe's methods take beside the picture, what they refuse, and how they say it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import pictures
from PIL import Image
from recipe_files import made_recipe
from torch import Tensor

import npp
from npp.checks import DEFAULT_QP
from npp.gradient.refine_objective import RefineStep
from npp.recipes import Parts, Recipe, ScaleRule

WIDE = 12.0  # some offset of the map is greater


def loss(pictures: Tensor) -> Tensor:
    return pictures.square().mean((1, 2, 3))


@pytest.fixture(scope="module")
def wide() -> Recipe:
    """With offsets far beyond npp.refine's own limit."""
    allocator = npp.Allocator.load("general").with_strength(4.0, 30.0)
    return Recipe(allocator=allocator, options={"effort": 0}, qp=36).eval()


@pytest.fixture(scope="module")
def half_flat() -> Tensor:
    """A picture whose left half matters, and one the other way round."""
    x = pictures(1, 96)
    x[..., 48:] = 0.5
    return torch.cat([x, x.flip(3)])


@pytest.mark.parametrize("part", ["scale", "filter", "qp_map", "restorer"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_parts_are_used_or_not(part: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{part} must be True or False, not {value!r}"):
        Parts(**{part: value})


def test_refining_begins_with_a_map_beyond_the_limit(wide: Recipe, half_flat: Tensor) -> None:
    found = wide.refine(half_flat, None, loss, steps=0)
    assert found.qp_map is not None
    assert max(float(one.abs().max()) for one in found.qp_map if one is not None) > WIDE
    assert found.bitstreams == wide.compress(half_flat).bitstreams
    assert torch.equal(found.history[0].bpp, wide.compress(half_flat, effort=0).bpp)


@pytest.mark.parametrize("limit", [3.0, 40.0])
def test_a_map_moves_within_its_own_offsets_or_the_limit(
    wide: Recipe, half_flat: Tensor, limit: float
) -> None:
    start = wide.prepare(half_flat, 36).qp_map
    assert start is not None
    seen: list[RefineStep] = []
    found = wide.refine(half_flat, None, loss, steps=3, map_limit=limit, map_lr=20.0, callback=seen.append)
    assert len(seen) == len(found.history) == 4
    for row, one in enumerate(found.qp_map or []):
        assert one is not None and one.abs().max() <= max(limit, float(start[row].detach().abs().max())) + 0.5


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"callback": lambda step: step.step == 1}, 1), ({"patience": 1, "map_lr": 50.0}, None)],
    ids=["callback", "patience"],
)
def test_refining_stops_early(wide: Recipe, settings: dict[str, Any], steps: int | None) -> None:
    found = wide.refine(pictures(1, 32), None, loss, steps=8, **settings)
    assert len(found.history) == (steps + 1 if steps else len(found.history)) < 9


def test_settings_of_the_search_are_refine_s() -> None:
    recipe, x = Recipe(options={"effort": 0}), pictures(1, 48)
    settings: dict[str, Any] = {"over": "both", "steps": 2, "lr": 0.2, "map_lr": 1.0, "map_zero_mean": True}
    found = recipe.refine(x, 36, loss, **settings)
    by_hand = npp.refine(x, 36, loss, effort=0, **settings)
    assert [one.objective.tolist() for one in found.history] == [
        one.objective.tolist() for one in by_hand.history
    ]
    with pytest.raises(ValueError, match="patience must be an integer from 1 to 1000000, not 0"):
        recipe.refine(x, 36, loss, patience=0)


@pytest.mark.parametrize("weights", [[1, 2], (1.0, 2.0), np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])])
def test_a_weight_for_each_picture(weights: Any) -> None:
    recipe, x = Recipe(options={"effort": 0}), pictures()
    found = recipe.refine(x, 36, loss, steps=0, weight=weights)
    by_hand = npp.refine(x, 36, loss, over="map", steps=0, weight=torch.tensor([1.0, 2.0]), effort=0)
    assert torch.equal(found.history[0].objective, by_hand.history[0].objective)
    assert torch.equal(npp.refine(x, 36, loss, steps=0, weight=weights, effort=0).bpp, by_hand.bpp)


@pytest.mark.parametrize(
    "weight", [-1.0, [1, 2, 3], "much", float("nan"), float("inf"), [[1], [2, 3]]], ids=str
)
def test_a_wrong_weight_is_named_as_given(weight: Any) -> None:
    with pytest.raises(ValueError, match="weight must be one finite number of 0 or more, or one per picture"):
        made_recipe().refine(pictures(), 36, loss, steps=0, weight=weight)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((1, 3, 32, 32), np.float32), TypeError, "x must be a torch tensor"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), TypeError, "x must be floating, in .*torch.uint8"),
        (torch.zeros(3, 32, 32), npp.EncodeError, r"x has shape \(3, 32, 32\); \(N, C, H, W\) is needed"),
        (torch.full((1, 3, 32, 32), 200.0), npp.EncodeError, r"x\[0\] holds values from 200"),
    ],
    ids=["array", "uint8", "shape", "scale"],
)
@pytest.mark.parametrize("parts", [Parts(), Parts(scale=False, qp_map=False)], ids=["all", "filter"])
def test_preparing_checks_as_compressing(x: Any, error: type[Exception], message: str, parts: Parts) -> None:
    with pytest.raises(error, match=message):
        made_recipe().prepare(x, 36, parts)
    with pytest.raises(error, match=message):
        made_recipe().compress(x, 36, parts=parts)


def test_metadata_of_another_kind_is_named() -> None:
    recipe, x = made_recipe(), pictures(1, 48)
    said = "metadata must be npp.Metadata or None, not dict"
    with pytest.raises(TypeError, match=said):
        recipe.encode(x[0], metadata={"exif": b"x"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=said):
        recipe.refine(x, None, loss, steps=0, metadata={"exif": b"x"})  # type: ignore[arg-type]


def test_lossless_is_refused_for_the_recipe_s_map_alone() -> None:
    recipe, x = made_recipe(), pictures(1, 48)
    with pytest.raises(
        npp.EncodeError, match=r"lossless must be False with the recipe's map, .*qp_map=False"
    ):
        recipe.compress(x, lossless=True)
    parts = Parts(scale=False, qp_map=False)
    exact = recipe.prepare(x, 36, parts).x
    assert torch.allclose(recipe.compress(x, parts=parts, lossless=True).x_hat, exact, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("kind", ["array", "F"])
def test_a_picture_that_may_not_be_written_to_is_no_warning(kind: str) -> None:
    array = pictures(1, 48)[0].movedim(0, -1).numpy()
    array.flags.writeable = False
    picture = array if kind == "array" else Image.fromarray(array[..., 0].copy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made_recipe().encode(picture)


@pytest.mark.parametrize("options", ["x", [], ["effort"], 3], ids=str)
def test_options_must_be_a_mapping(options: Any) -> None:
    with pytest.raises(TypeError, match=r"options must be a mapping of npp\.CodecOptions or None, not"):
        Recipe(options=options)


@pytest.mark.parametrize("factors", [0.5, "x", [0.5], None], ids=str)
def test_factors_must_be_a_mapping(factors: Any) -> None:
    with pytest.raises(ValueError, match="factors must be a mapping of qp to numbers, not"):
        ScaleRule(factors)


def test_decoding_names_files_as_npp_decode_does(tmp_path: Path) -> None:
    recipe = made_recipe()
    good, broken, missing = tmp_path / "good.bpg", tmp_path / "broken.bpg", tmp_path / "missing.bpg"
    good.write_bytes(recipe.encode(pictures(1, 48)[0]))
    broken.write_bytes(good.read_bytes()[:60])
    for one in (broken, [broken], b"no file", [b"no file"]):
        with pytest.raises(npp.DecodeError) as ours:
            recipe.decode(one)  # type: ignore[arg-type]
        with pytest.raises(npp.DecodeError) as theirs:
            npp.decode(one)  # type: ignore[arg-type]
        assert str(ours.value) == str(theirs.value)
        assert ours.value.index == theirs.value.index
        assert "data[0]" not in str(ours.value) or one == [b"no file"]
    found = recipe.decode([good, broken, missing, io.BytesIO(good.read_bytes())], errors="return")
    assert [type(one) for one in found] == [Tensor, npp.DecodeError, FileNotFoundError, Tensor]
    assert found[0].shape == (3, 48, 48) and torch.equal(found[0], found[3])
    assert isinstance(recipe.decode(missing, errors="return"), FileNotFoundError)
    with pytest.raises(ValueError, match="errors must be 'raise' or 'return', not 'skip'"):
        recipe.decode(good, errors="skip")  # type: ignore[call-overload]


def test_a_picture_above_the_limit_is_named_by_its_path(tmp_path: Path) -> None:
    """Its coded size is within the limit, the size that it had is not."""
    path = tmp_path / "large.bpg"
    path.write_bytes(made_recipe().encode(pictures(1, 64)[0]))
    npp.set_max_pixels(2000)
    try:
        said = r"large\.bpg: the picture was 64x64 = 4096 pixels; at most 2000"
        with pytest.raises(npp.DecodeError, match=said):
            made_recipe().decode(path)
        found = made_recipe().decode([path], errors="return")
        assert isinstance(found[0], npp.DecodeError) and found[0].index == 0
    finally:
        npp.set_max_pixels(None)


def test_units_of_batches_take_flags() -> None:
    no: Any = "no"
    with pytest.raises(ValueError, match="keep_metadata must be True or False, not 'no'"):
        npp.batch.BatchEncoder(30, keep_metadata=no)
    with pytest.raises(ValueError, match="keep_metadata must be True or False, not 'no'"):
        npp.batch.BatchDecoder(keep_metadata=no)
    with pytest.raises(ValueError, match="restore_size must be True or False, not 'no'"):
        npp.batch.BatchDecoder(restore_size=no)


def test_what_leaves_parts_out_is_named_with_the_place_that_it_is_imported_from() -> None:
    for method in (Recipe.encode, Recipe.decode, Recipe.compress, Recipe.refine, Recipe.prepare):
        assert ":class:`npp.recipes.Parts`" in (method.__doc__ or ""), method.__name__
    with pytest.raises(
        npp.EncodeError, match=r"parts=npp\.recipes\.Parts\(qp_map=False\) leaves the map out"
    ):
        made_recipe().compress(pictures(), lossless=True)


def test_the_recipe_s_own_qp_is_described_as_it_is() -> None:
    described = " ".join((Recipe.__doc__ or "").split())
    assert f" qp: where a user names none, {Recipe().qp} unless given: " in described
    assert f"coarser than the {DEFAULT_QP} of :func:`npp.encode`" in described
