"""A recipe for many files: what it predicts, and what tells one use of it from others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from recipe_files import made_recipe

import npp
from npp.batch.file_encoding import EncodeSettings, encode_source, encode_to_settings
from npp.batch.picture_reading import Source
from npp.batch.rate_sampling import SamplingGoal, sample_curve
from npp.batch.recipe_use import RecipeUse, for_several_qps
from npp.recipes import Parts, Recipe, ScaleRule
from npp.recipes.scale import shrink


def _use(recipe: Recipe | None = None, parts: Parts | None = None) -> RecipeUse:
    return RecipeUse(recipe or made_recipe(), parts or Parts(), "test")


def test_a_picture_is_asked_about_as_it_is_coded_at_the_recipes_own_qp(photo: np.ndarray) -> None:
    recipe = made_recipe()
    assert recipe.allocator is not None and recipe.preprocessor is not None and recipe.qp == 36
    x = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    small = shrink(x, (40, 56))
    with torch.no_grad():
        expected = float(recipe.allocator.sensitivity(recipe.preprocessor(small, 36), 36))
        others = [
            float(recipe.allocator.sensitivity(*given))
            for given in ((recipe.preprocessor(small, 36), 30), (small, 36), (recipe.preprocessor(x, 36), 36))
        ]
    assert _use().sensitivity(photo) == pytest.approx(expected, rel=1e-5)
    assert all(abs(other - expected) > 1e-3 * abs(expected) for other in others)
    unscaled = _use(parts=Parts(scale=False)).sensitivity(photo)
    assert unscaled == pytest.approx(others[2], rel=1e-5)


def test_uses_of_recipes_are_told_apart_by_all_that_decides_files() -> None:
    recipe = made_recipe()
    parts = [Parts(), Parts(scale=False), Parts(filter=False), Parts(qp_map=False)]
    digests = [_use(parts=one).digest() for one in parts]
    for name, value in (("scale", ScaleRule({31: 0.5})), ("options", {"effort": 2, "tune": "machine"})):
        changed = copy.deepcopy(recipe)
        setattr(changed, name, value)
        digests.append(_use(changed).digest())
    assert recipe.allocator is not None
    stronger = copy.deepcopy(recipe)
    stronger.allocator = recipe.allocator.with_strength(2.0)
    moved = copy.deepcopy(recipe)
    with torch.no_grad():
        next(moved.parameters()).add_(0.01)
    digests += [_use(stronger).digest(), _use(moved).digest()]
    assert len(set(digests)) == len(digests) == 8
    assert _use(copy.deepcopy(recipe)).digest() == digests[0]
    assert RecipeUse(recipe, Parts(restorer=False), "other").digest() == digests[0]  # it has none


def test_parts_that_make_the_files() -> None:
    assert _use().used() == _use().used_in_coding() == ["scale", "filter", "qp_map"]
    restored = npp.Recipe("restored", restorer=npp.Restorer(width=8, depth=1, edge_width=4))
    assert _use(restored).used() == ["restorer"] and _use(restored).used_in_coding() == []
    assert _use(restored, Parts(restorer=False)).used() == []


@contextmanager
def _looks(recipe: Recipe) -> Iterator[list[tuple[int, ...]]]:
    """Heights and widths of what the allocator's trunk is shown."""
    assert recipe.allocator is not None
    sizes: list[tuple[int, ...]] = []
    handle = recipe.allocator.network.trunk.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:]))
    )
    yield sizes
    handle.remove()


def _source(photo: np.ndarray) -> Source:
    return Source([photo], None, 0, False, npp.Metadata(), ())


@pytest.mark.parametrize("parts", [Parts(filter=False), Parts(filter=False, scale=False)])
def test_a_search_for_a_rate_looks_at_a_picture_once_for_each_size(parts: Parts, photo: np.ndarray) -> None:
    use = _use(parts=parts)
    settings = EncodeSettings(target_bpp=1.4, recipe=use, options={"effort": 0})
    with _looks(use.recipe) as sizes:
        qp, file = encode_to_settings(_source(photo), settings)
    assert qp is not None and 20 < qp < 45
    assert len(sizes) == len(set(sizes)) == (2 if parts.scale else 1)
    assert file == encode_source(_source(photo), qp, settings)


def test_behind_a_filter_each_qp_has_a_picture_of_its_own(photo: np.ndarray) -> None:
    settings = EncodeSettings(target_bpp=1.4, recipe=_use(), options={"effort": 0})
    qp, file = encode_to_settings(_source(photo), settings)
    assert qp is not None
    assert file == encode_source(_source(photo), qp, settings)


def test_probing_looks_at_a_picture_once_for_each_size(photo: np.ndarray) -> None:
    use = _use(parts=Parts(filter=False))
    settings = EncodeSettings(recipe=use)
    with _looks(use.recipe) as sizes:
        curve = sample_curve(_source(photo), settings, SamplingGoal(predicted=True))
    assert len(sizes) == len(set(sizes)) == len(curve.spans) == 2
    assert curve.sensitivity == use.sensitivity(photo)
    quick = EncodeSettings(recipe=use, options={"effort": 1})
    for span in curve.spans:
        assert span.sizes == [len(encode_source(_source(photo), qp, quick)) for qp in span.qps]


def test_rate_curves_look_at_each_picture_once_for_each_size(photo: np.ndarray) -> None:
    recipe = made_recipe().changed(preprocessor=None)
    pictures = [photo, photo[::-1].copy()]
    with _looks(recipe) as sizes:
        npp.rate_curves(pictures, recipe=recipe)
    assert len(sizes) == 2 * len(set(sizes)) == 4


class _OwnRecipe(Recipe):
    """Somebody's own, which may code pictures in another way."""


def _of_a_subclass(recipe: Recipe) -> Recipe:
    recipe.__class__ = _OwnRecipe
    return recipe


def _with_a_hook(recipe: Recipe) -> Recipe:
    assert recipe.allocator is not None
    recipe.allocator.register_forward_hook(lambda module, args, offsets: offsets * 0)
    return recipe


@pytest.mark.parametrize("change", [_of_a_subclass, _with_a_hook])
def test_a_search_leaves_recipes_that_were_changed_as_they_are(change: Callable[[Recipe], Recipe]) -> None:
    parts = Parts(filter=False)
    recipe = copy.deepcopy(made_recipe())
    assert for_several_qps(recipe, parts) is not recipe
    changed = change(recipe)
    assert for_several_qps(changed, parts) is changed
