"""Which photo an entry of a file means: by its path below the folder, or by its bare name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_evaluation import red_photos

from npp.evaluation.by_photo import ByPhoto
from npp.evaluation.labelled_photos import LabelledPhotos
from npp.evaluation.real_labels import read_labels

_CLASS_FOLDERS = [
    ("cat/0.png", "dog/0.png"),  # paths below the folder
    ("cat\\0.png", "./dog/0.png"),
    ("{folder}/cat/0.png", "../photos/dog/0.png"),
]


@pytest.mark.parametrize("names", _CLASS_FOLDERS)
def test_labels_go_by_the_path_below_the_folder(names: tuple[str, str], tmp_path: Path) -> None:
    for folder in ("cat", "dog"):
        red_photos(tmp_path / "photos" / folder)
    first, second = (name.format(folder=tmp_path / "photos") for name in names)
    (tmp_path / "table.csv").write_text(f"file,label\n{first},3\n{second},4\nelsewhere/1.png,5\n")
    labels = read_labels(LabelledPhotos(str(tmp_path / "photos"), labels=str(tmp_path / "table.csv")))
    cat, dog = (tmp_path / "photos" / folder / "0.png" for folder in ("cat", "dog"))
    classes = labels.classes.by_photo
    assert classes[cat] == 3 and classes[dog] == 4
    labels.check_names([cat, dog, cat.with_name("1.png")])
    assert classes[cat.with_name("1.png")] == 5, "the folder of the list is none of the photos'"
    assert not labels.has(cat.with_name("2.png"))
    with pytest.raises(
        ValueError, match=r"cat/1\.png and dog/1\.png, and both are listed as elsewhere/1\.png"
    ):
        labels.check_names([cat.with_name("1.png"), dog.with_name("1.png")])


def test_a_path_to_one_photo_is_no_label_of_another(tmp_path: Path) -> None:
    for folder in ("cat", "dog"):
        red_photos(tmp_path / "photos" / folder)
    (tmp_path / "table.csv").write_text("file,label\ncat/0.png,3\na/1.png,1\nb/1.png,2\n")
    labels = read_labels(LabelledPhotos(str(tmp_path / "photos"), labels=str(tmp_path / "table.csv")))
    assert not labels.has(tmp_path / "photos" / "dog" / "0.png")
    with pytest.raises(ValueError, match=r"cat/1\.png, which is listed as a/1\.png and as b/1\.png"):
        labels.check_names([tmp_path / "photos" / "cat" / "1.png"])


@pytest.mark.parametrize("twice", ["0.png", "./0.png"])
def test_a_photo_that_is_listed_by_its_path_and_by_its_name_is_refused(twice: str, tmp_path: Path) -> None:
    red_photos(tmp_path / "photos" / "cat")
    table = tmp_path / "table.csv"
    table.write_text(f"file,label\ncat/0.png,3\n{twice},4\nother/1.png,2\ncat/1.png,1\n")
    labels = read_labels(LabelledPhotos(str(tmp_path / "photos"), labels=str(table)))
    with pytest.raises(
        ValueError,
        match=rf"cat/0\.png, which is listed as cat/0\.png and as 0\.png in labels \({table}\): real",
    ):
        labels.check_names([tmp_path / "photos" / "cat" / "0.png"])
    # Of a larger set's table, of which the folder holds a part.
    labels.check_names([tmp_path / "photos" / "cat" / "1.png"])


def test_photos_with_entries_of_their_own_may_share_a_name(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    red_photos(photos / "cat")
    top, below = photos / "0.png", photos / "cat" / "0.png"
    shutil.copy(below, top)
    both = ByPhoto({"0.png": 3, "cat/0.png": 4}, str(photos))
    both.check_clear([top, below])
    assert (both[top], both[below]) == (3, 4)
    maps = ByPhoto({"0": 3, "cat/0": 4}, str(photos), endings=False)
    maps.check_clear([below])
    top.unlink()
    with pytest.raises(ValueError, match=r"cat/0\.png, which is listed as cat/0 and as 0"):
        maps.check_clear([below])


def test_names_without_endings_are_paths_where_they_have_a_folder() -> None:
    by_photo = ByPhoto({"cat/0": 1, "1": 2}, "photos", endings=False)
    assert by_photo[Path("photos/cat/0.png")] == 1 and by_photo[Path("photos/dog/1.jpg")] == 2
    assert by_photo.get(Path("photos/dog/0.png")) is None
    assert by_photo.name(Path("photos/dog/1.jpg")) == "1"
    with pytest.raises(KeyError, match=r"0\.png"):
        by_photo[Path("photos/dog/0.png")]


def test_two_names_of_one_path_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"cat/0\.png is listed as {tmp_path}/cat/0\.png, too, and once"):
        ByPhoto({"cat/0.png": 1, f"{tmp_path}/cat/0.png": 2}, str(tmp_path))
