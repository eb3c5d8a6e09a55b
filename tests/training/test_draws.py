"""The photos of a training: what is drawn, and what becomes of damaged ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from small_runs import smoke

from npp.config.yaml_files import ConfigError
from npp.training.draws import Draws, Photos
from npp.training.train_config import DataConfig

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def test_kth_picture_does_not_depend_on_what_came_before(photos: Path) -> None:
    paths = sorted(photos.glob("*.png"))
    data = DataConfig(str(photos), size=64)
    draws = Draws(paths, data, [30, 40], seed=1)
    first = [draws[k] for k in range(16)]
    again = Draws(paths, data, [30, 40], seed=1)
    for k in (11, 3):
        assert all(torch.equal(a, b) for a, b in zip(first[k], again[k], strict=True))
    assert (
        sorted(int(s.photo) for s in first[:8]) == sorted(int(s.photo) for s in first[8:]) == list(range(8))
    )
    assert [int(s.photo) for s in first[:8]] != [int(s.photo) for s in first[8:]]
    assert {int(s.qp) for s in first} == {30, 40}
    other = Draws(paths, data, [30, 40], seed=2)
    assert any(int(other[k].photo) != int(first[k].photo) for k in range(8))


def test_a_damaged_photo_is_replaced_by_the_next_one(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    paths = sorted((tmp_path / "photos").glob("*.png"))
    data = DataConfig(str(photos), size=64)
    whole = [Draws(paths, data, [30], seed=1)[k] for k in range(8)]
    paths[4].write_bytes(b"")
    drawn = [Draws(paths, data, [30], seed=1)[k] for k in range(8)]
    for before, now in zip(whole, drawn, strict=True):
        if int(before.photo) == 4:
            assert (int(now.photo), int(now.damaged)) == (5, 4)
        else:
            assert torch.equal(before.x, now.x) and int(now.damaged) == -1
    config = smoke(tmp_path / "photos", tmp_path, "data.limit=3")
    assert len(Photos(config).training) == 3


def test_photos_of_other_folders_are_trained_on_too(photos: Path, tmp_path: Path) -> None:
    more = tmp_path / "more" / "inside"
    more.mkdir(parents=True)
    for path in sorted(photos.glob("*.png"))[:2]:
        shutil.copy(path, more / f"other-{path.name}")
    alone = Photos(smoke(photos, tmp_path))
    both = Photos(smoke(photos, tmp_path, f"data.more=[{tmp_path / 'more'}]"))
    assert both.training[: len(alone.training)] == alone.training
    assert both.training[len(alone.training) :] == sorted(more.iterdir())
    # What a run is judged by does not depend on them.
    assert both.validation == alone.validation
    # Nor may what is held out come in again by another way.
    link = tmp_path / "link"
    link.symlink_to(photos, target_is_directory=True)
    again = Photos(smoke(photos, tmp_path, f"data.more=['{tmp_path / 'more'}', '{photos.parent}']"))
    assert not {path.resolve() for path in again.validation} & {path.resolve() for path in again.training}
    for same in (photos, link):
        with pytest.raises(ConfigError, match=r"data\.more: \S+ has photos of folder .* only"):
            Photos(smoke(photos, tmp_path, f"data.more=['{same}']"))
    with pytest.raises(ConfigError, match=r"data\.more: .*nowhere is not a folder"):
        Photos(smoke(photos, tmp_path, f"data.more=[{tmp_path / 'nowhere'}]"))
    with pytest.raises(ValueError, match=r"^more: .*NPP_NOWHERE is not set"):
        DataConfig(folder=str(photos), more=["$NPP_NOWHERE/photos"]).training_paths()


def test_bpgs_curve_is_measured_on_photos_of_all_folders(photos: Path, tmp_path: Path) -> None:
    """Folders often are classes, and their names say which come first."""
    for name in ("a", "b", "c"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(12):
            shutil.copy(next(photos.glob("*.png")), tmp_path / "set" / name / f"{i}.png")
    found = Photos(smoke(tmp_path / "set", tmp_path / "run", "baseline.photos=9", "validation.photos=6"))
    assert {path.parent.name for path in found.baseline} == {"a", "b", "c"}
    assert len({path.parent.name for path in found.chosen_with(3)}) > 1
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "set", moved)
    other = Photos(smoke(moved, tmp_path / "run", "baseline.photos=9", "validation.photos=6"))
    assert [path.relative_to(moved) for path in other.baseline] == [
        path.relative_to(tmp_path / "set") for path in found.baseline
    ]
