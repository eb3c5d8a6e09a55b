"""One description of a set of photos, and photos that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import npp
from npp.photos.finding import PhotoWarning
from npp.photos.photo_set import PhotoSet, load_or_next, readable
from npp.training.allocator_config import PhotoSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight photos, two of them damaged, one lying."""
    for i in range(8):
        Image.new("RGB", (40, 24), (20 * i, 90, 10)).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "5.png").write_bytes(b"no picture")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 24)).save(tmp_path / "7.png", exif=exif)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 7}, "^size must be at least 8, not 7"),
        ({"size": (64, 4)}, r"^size must be at least 8, not \(64, 4\)"),
        ({"size": 1_000_000}, r"^size is too large, not 1000000: .* are 1000000000000 pixels; at most"),
        ({"size": 64, "mode": "full"}, "^size and mode: full exclude each other"),
        ({"size": 64.5}, "^size must be a number or"),
        ({"limit": 0}, "^limit must be at least 1, not 0"),
        ({"limit": 2.5}, r"^limit must be an integer or None, not 2\.5"),
        ({"limit": True}, "^limit must be an integer or None, not True"),
        ({"part": "training"}, "^part must be one of 'train', 'val', 'test', 'all', not 'training'"),
        ({"mode": "scale"}, "^mode must be one of 'crop', 'resize', 'full', not 'scale'"),
        ({"mode": ["crop"]}, "^mode must be one of"),
        ({"fractions": (0.5, 0.2, 0.1)}, "^fractions must be three numbers from 0 with sum 1"),
        ({"fractions": "abc"}, "^fractions must be three numbers from 0 with sum 1, not 'abc'"),
        ({"fractions": None}, "^fractions must be three numbers from 0 with sum 1, not None"),
        ({"fractions": ("a", "b", "c")}, "^fractions must be three numbers from 0 with sum 1"),
        ({"fractions": (1.5, -0.5, 0)}, "^fractions must be three numbers from 0 with sum 1"),
        ({"fractions": (float("nan"), 0, 0)}, "^fractions must be three numbers from 0 with sum 1"),
        ({"split_seed": None}, "^split_seed must be an integer, not None"),
        ({"split_seed": "x"}, "^split_seed must be an integer, not 'x'"),
        ({"split_seed": 1.5}, r"^split_seed must be an integer, not 1\.5"),
        ({"split_seed": False}, "^split_seed must be an integer, not False"),
        ({"include": 5}, "^include must be a pattern, a list of at least one, or None, not 5"),
        ({"include": []}, r"^include must be a pattern, a list of at least one, or None, not \[\]"),
        ({"include": ["*.jpg", 5]}, "^include must be a pattern"),
        ({"folder": None}, "^folder must be a path, not None"),
    ],
)
def test_wrong_values_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PhotoSet(**{"folder": "photos", **changes})
    if "mode" not in changes and "part" not in changes and "size" not in changes:
        with pytest.raises(ValueError, match=words):
            PhotoSource(**{"folder": "photos", **changes})


def test_a_seed_in_numpys_integers_is_the_same_split(folder: Path) -> None:
    seed: Any = np.int64(3)
    photos = PhotoSet(str(folder), split_seed=seed)
    assert type(photos.split_seed) is int and photos.paths() == PhotoSet(str(folder), split_seed=3).paths()


def test_a_folder_without_photos_and_a_part_without_photos_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^folder: .*gone is not a folder"):
        PhotoSet(str(tmp_path / "gone")).paths()
    with pytest.raises(ValueError, match=r"^fractions \[1.0, 0.0, 0.0\] leave none of 8 photos for test"):
        PhotoSet(str(folder), part="test", fractions=(1.0, 0.0, 0.0)).paths()


def test_pictures_have_the_size_that_was_asked_for(folder: Path) -> None:
    path = folder / "1.png"
    assert PhotoSet(str(folder)).load_one(path).shape == (3, 224, 224)
    assert PhotoSet(str(folder), size=(16, 32), mode="resize").load([path, path]).shape == (2, 3, 16, 32)
    full = PhotoSet(str(folder), mode="full", part="all")
    assert full.shape is None and full.load_one(path).shape == (3, 24, 40)
    sizes = [
        {full.load_one(one).shape for one in part} for part in full.batches([path, folder / "7.png", path], 1)
    ]
    assert sizes == [{(3, 24, 40)}, {(3, 24, 40)}, {(3, 40, 24)}]


def test_photos_that_cannot_be_read_are_named_and_others_take_their_places(folder: Path) -> None:
    photos = PhotoSet(str(folder), part="all", limit=8)
    with pytest.warns(PhotoWarning) as warned:
        found = photos.readable_paths()
    assert {path.name for path in found} == {"0.png", "1.png", "3.png", "4.png", "6.png", "7.png"}
    assert len(warned) == 2 and all(any(f"{i}.png" in str(one.message) for one in warned) for i in (2, 5))
    with (
        pytest.warns(PhotoWarning),
        pytest.raises(ValueError, match=r"^folder has no photo that can be read"),
    ):
        readable([folder / "2.png"])


def test_a_photo_that_is_too_narrow_for_the_size_is_none_that_can_be_read(folder: Path) -> None:
    for name in ("2.png", "5.png"):
        (folder / name).unlink()
    Image.new("RGB", (1, 400)).save(folder / "narrow.png")
    npp.set_max_pixels(64 * 400)
    try:
        with pytest.warns(PhotoWarning, match=r"narrow\.png.* scaled to cover 64x64"):
            found = PhotoSet(str(folder), part="all", size=64).readable_paths()
        assert "narrow.png" not in {path.name for path in found} and len(found) == 6
        full = PhotoSet(str(folder), part="all", mode="full").readable_paths()
        assert folder / "narrow.png" in full
    finally:
        npp.set_max_pixels(None)


def test_what_replaces_a_damaged_photo_depends_on_the_photos_alone(folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    load = PhotoSet(str(folder), size=16).load_one
    for _ in range(2):
        x, place = load_or_next(paths, 2, load)
        assert place == 3 and torch.equal(x, load(paths[3]))
    assert load_or_next(paths, 4, load)[1] == 4
    with pytest.raises(OSError, match=r"2\.png"):
        load_or_next([paths[2], paths[5]], 0, load)
