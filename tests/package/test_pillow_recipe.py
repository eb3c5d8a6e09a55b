"""Pillow's save with recipe=."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from recipe_files import made_recipe, saved_recipe

import npp
import npp.pillow


def _saved(image: Image.Image, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, "BPG", **options)
    return out.getvalue()


def test_recipes_prepare_what_is_saved(photo: np.ndarray, tmp_path: Path) -> None:
    image, recipe = Image.fromarray(photo), made_recipe()
    own = _saved(image, recipe=recipe)
    assert own == recipe.encode(photo)
    assert own == _saved(image, recipe=saved_recipe(tmp_path))
    given = _saved(image, recipe=recipe, qp=40, effort=2, exif=b"Exif\0\0II*\0")
    assert given == recipe.encode(photo, 40, effort=2, metadata=npp.Metadata(exif=b"II*\0"))
    assert npp.probe(own).width == 56
    assert Image.open(BytesIO(own)).size == (56, 40) and tuple(recipe.decode(own).shape) == (3, 80, 112)
    assert _saved(image, save_all=True, recipe=recipe) == own, "one frame is a still"
    assert _saved(image, recipe=None, qp=30) == npp.encode(photo, 30)


def test_what_a_recipe_cannot_do(photo: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(photo)
    with pytest.raises(npp.EncodeError, match="recipe prepares stills, and these are 2 frames"):
        _saved(image, save_all=True, append_images=[image], recipe=made_recipe())
    with pytest.raises(
        TypeError, match=r"recipe must be an npp\.Recipe, a name or path of one, or None, not int"
    ):
        _saved(image, recipe=3)
    with pytest.raises(FileNotFoundError, match="names are"):
        _saved(image, recipe=str(tmp_path / "missing"))
    with pytest.raises(npp.EncodeError, match="lossless must be False with a recipe"):
        _saved(image, recipe=made_recipe(), lossless=True)
