"""Photos found and split the same way every time."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from closed_folders import close_folder
from PIL import Image

from npp.config.yaml_files import expand
from npp.photos.finding import PhotoWarning, find_photos, split, visible_files, would_be_found

NAMES = [Path(f"{i}.jpg") for i in range(400)]
VAL_OF_60 = ["4", "16", "18", "26", "32", "37", "40", "52", "57"]


def below(folder: Path, include: str | list[str] | None = None) -> list[str]:
    """Found photos, named from the folder."""
    return [path.relative_to(folder).as_posix() for path in find_photos(folder, include)]


def touch(folder: Path, *names: str) -> None:
    """Files that differ in nothing but their names: finding does not look into them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ("**/*.jpg", ["a.jpg", "city/day/c.jpg", "city/b.jpg"]),
        ("city/**/*.jpg", ["city/day/c.jpg", "city/b.jpg"]),
        ("**/day/**/*.jpg", ["city/day/c.jpg"]),
        ("city/**/day/**/*.jpg", ["city/day/c.jpg"]),
        (["**/c*", "a.*"], ["a.jpg", "city/day/c.jpg"]),
        ("city/**", ["city/day/c.jpg", "city/b.jpg"]),
        ("city/*.jpg", ["city/b.jpg"]),
        ("*/*.jpg", ["city/b.jpg"]),
        ("./c[hi]ty/*/*", ["city/day/c.jpg"]),
        ("*", ["a.jpg", "city/day/c.jpg", "city/b.jpg"]),
    ],
)
def test_one_star_stays_in_a_folder_and_two_stand_for_any_folders_or_none(
    tmp_path: Path, include: str | list[str], found: list[str]
) -> None:
    touch(tmp_path, "a.jpg", "city/b.jpg", "city/day/c.jpg")
    for name in ("a.jpg", "city/b.jpg", "city/day/c.jpg"):
        assert would_be_found(tmp_path / name, tmp_path, include) is (name in found)
    assert sorted(below(tmp_path, include)) == sorted(found)


def test_bpg_files_are_found_whatever_pillow_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """npp.pillow, which tells Pillow of them, need not have been imported."""
    monkeypatch.setattr(Image, "EXTENSION", {".jpg": "JPEG"})
    touch(tmp_path, "a.bpg", "B.BPG", "c.jpg", "d.txt")
    assert below(tmp_path, "*.[bB]*") == ["B.BPG", "a.bpg"]
    assert below(tmp_path, ["*"]) == ["B.BPG", "a.bpg", "c.jpg"]


def test_finds_photos_below_a_folder_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/c.png", "a/d.bmp", "a/notes.txt")
    assert below(tmp_path) == ["a/c.png", "a/d.bmp", "b.png"]
    assert below(tmp_path, "a/*") == ["a/c.png", "a/d.bmp"]
    assert below(tmp_path, "*.png") == ["a/c.png", "b.png"]
    assert below(tmp_path, ["a/*.png", "*.bmp"]) == ["a/c.png", "a/d.bmp"]
    with pytest.raises(ValueError, match=r"no photos \(\*\.webp\)"):
        below(tmp_path, "*.webp")
    with pytest.raises(ValueError, match=r"^folder: .*missing is not a folder"):
        find_photos(tmp_path / "missing")


def test_expands_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPP_TEST", "/data")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("NPP_ABSENT", raising=False)
    assert expand("$NPP_TEST/a") == expand("${NPP_TEST}/a") == "/data/a"
    assert expand("${NPP_ABSENT:-here}/a") == "here/a"
    assert expand("~/a") == "/home/me/a"
    with pytest.raises(ValueError, match="NPP_ABSENT is not set"):
        expand("${NPP_ABSENT}/a")


def test_split_is_a_partition_and_stays_when_photos_come() -> None:
    parts = [split(NAMES, part) for part in ("train", "val", "test")]
    assert sorted(parts[0] + parts[1] + parts[2]) == sorted(NAMES)
    assert 290 < len(parts[0]) < 350 and min(len(parts[1]), len(parts[2])) > 15
    assert split(NAMES[::2], "val") == [path for path in parts[1] if path in NAMES[::2]]
    assert split([Path("elsewhere") / path for path in NAMES], "val") == [
        Path("elsewhere") / path for path in parts[1]
    ]
    assert split(NAMES, "val", seed=1) != parts[1]
    assert split(NAMES, "val", fractions=(0.0, 1.0, 0.0)) == NAMES


def test_split_names_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="part must be one of 'train', 'val', 'test', not 'dev'"):
        split(NAMES, "dev")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fractions must be three numbers"):
        split(NAMES, fractions=(0.5, 0.1))
    for seed in (0.0, False, "0", None):
        with pytest.raises(ValueError, match=f"^seed must be an integer, not {seed!r}"):
            split(NAMES, seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("include", [[], (), 5, [5], b"*.jpg", {"*.jpg": 1}])
def test_what_is_no_pattern_is_named(tmp_path: Path, include: Any) -> None:
    touch(tmp_path, "a.jpg")
    for ask in (find_photos, lambda folder, include: would_be_found(folder / "a.jpg", folder, include)):
        with pytest.raises(
            ValueError, match=r"^include must be a pattern, a list of at least one, or None, not"
        ):
            ask(tmp_path, include)


def test_a_photo_keeps_the_part_that_its_name_gave_it() -> None:
    # As the names alone gave them, before paths below the folder counted: one folder's photos stay.
    assert [path.stem for path in split(NAMES[:60], "val")] == VAL_OF_60
    moved = [Path("/elsewhere/photos") / path for path in NAMES[:60]]
    assert [path.stem for path in split(moved, "val", root="/elsewhere/photos")] == VAL_OF_60


def test_equal_names_in_many_folders_go_different_ways(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}/image.jpg" for i in range(200)))
    found = find_photos(tmp_path)
    for root in (tmp_path, None):
        sizes = [len(split(found, part, root=root)) for part in ("train", "val", "test")]
        assert sum(sizes) == 200 and min(sizes) >= 8
    moved = tmp_path.with_name("moved")
    shutil.move(tmp_path, moved)
    assert [path.relative_to(moved) for path in split(find_photos(moved), "val", root=moved)] == [
        path.relative_to(tmp_path) for path in split(found, "val", root=tmp_path)
    ]


def test_split_keeps_its_parts_when_a_folder_is_added(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a/{i}.jpg" for i in range(50)))
    before = split(find_photos(tmp_path), "val", root=tmp_path)
    touch(tmp_path, *(f"b/{i}.jpg" for i in range(50)))
    after = split(find_photos(tmp_path), "val", root=tmp_path)
    assert [path for path in after if path.parent.name == "a"] == before


def test_split_names_a_photo_from_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"other/a\.jpg"):
        split([Path("other/a.jpg")], root=tmp_path)


def test_hidden_files_are_no_photos(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "photos"  # hidden itself: what was asked for is searched
    touch(folder, "a.png", "._a.png", ".ipynb_checkpoints/a-checkpoint.png", ".thumbs/b/c.png", "d/.e.jpg")
    assert below(folder) == ["a.png"]
    assert below(folder, ["*.png", "*/*"]) == ["a.png"]


def test_linked_folders_are_searched_without_loops(tmp_path: Path) -> None:
    folder, pool = tmp_path / "photos", tmp_path / "pool"
    touch(folder, "own/a.jpg")
    touch(pool, "b.jpg", "deep/c.jpg")
    (folder / "linked").symlink_to(pool)
    (pool / "deep" / "back").symlink_to(folder)
    (folder / "own" / "self").symlink_to(folder / "own")
    assert below(folder) == ["linked/b.jpg", "linked/deep/c.jpg", "own/a.jpg"]


def _linked_to_each_other(folder: Path, count: int) -> None:
    for i in range(count):
        touch(folder, f"d{i}/{i}.jpg")
        for j in set(range(count)) - {i}:
            (folder / f"d{i}" / f"to{j}").symlink_to(folder / f"d{j}")


def _visible(folder: Path) -> list[str]:
    found = visible_files(folder, unreadable=pytest.fail)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_folders_that_link_to_each_other_are_searched_once(tmp_path: Path) -> None:
    folder, outer = tmp_path / "photos", tmp_path / "outer"
    _linked_to_each_other(folder, 12)  # in every order of them these would be a billion folders
    own = sorted(f"d{i}/{i}.jpg" for i in range(12))
    assert _visible(folder) == below(folder) == own
    outer.mkdir()
    for i in range(12):
        (outer / f"in{i}").symlink_to(folder / f"d{i}")
    assert _visible(outer) == below(outer) == sorted(f"in{i}/{i}.jpg" for i in range(12))
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "all").symlink_to(folder)
    assert _visible(tmp_path / "single") == [f"all/{name}" for name in own]


def test_two_links_to_one_folder_give_its_files_twice_and_later_ones_by_the_first_way(tmp_path: Path) -> None:
    folder, pool, far = tmp_path / "photos", tmp_path / "pool", tmp_path / "far"
    touch(folder, "own/a.jpg")
    touch(pool, "deep/b.jpg")
    touch(far, "c.jpg")
    (folder / "z").symlink_to(pool)
    (folder / "own" / "y").symlink_to(pool)
    (folder / "again").symlink_to(folder / "own")
    (pool / "x").symlink_to(far)
    (pool / "deep" / "w").symlink_to(far)
    assert _visible(folder) == ["own/a.jpg", "own/y/deep/b.jpg", "own/y/deep/w/c.jpg", "z/deep/b.jpg"]
    assert below(folder) == ["own/a.jpg", "own/y/deep/b.jpg", "own/y/deep/w/c.jpg"]


def test_a_tree_of_more_than_a_thousand_folders_one_in_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")  # noqa: PTH102 (the whole path would be too long for one call)
        os.chdir("d")
    touch(Path(), "b.jpg")
    monkeypatch.chdir(tmp_path)
    try:
        assert below(tmp_path) == ["a.jpg", "d/" * 1200 + "b.jpg"]
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_each_file_is_found_once_by_its_own_name(tmp_path: Path) -> None:
    folder, pool = tmp_path / "photos", tmp_path / "pool"
    touch(folder, "z/own.jpg")
    touch(pool, "blob")
    (folder / "a.jpg").symlink_to(folder / "z" / "own.jpg")
    (folder / "b.jpg").symlink_to(pool / "blob")  # as in the caches of Hugging Face, git-annex and DVC
    (folder / "c.jpg").symlink_to(pool / "blob")
    (folder / "gone.jpg").symlink_to(pool / "nothing")
    (folder / "a_folder").symlink_to(folder / "z")
    os.link(folder / "z" / "own.jpg", folder / "z" / "second_name.jpg")
    with pytest.warns(PhotoWarning, match=r"nowhere: \[Errno 2\] No such file or directory: .*gone\.jpg'$"):
        assert below(folder) == ["b.jpg", "z/own.jpg"]


def test_a_folder_that_may_not_be_read_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "secret/b.png")
    close_folder(tmp_path / "secret", monkeypatch)
    with pytest.warns(PhotoWarning, match=r"left out, for it cannot be read: .*denied: .*secret") as warned:
        assert below(tmp_path) == ["a.png"]
    assert len(warned) == 1
    with pytest.warns(PhotoWarning), pytest.raises(ValueError, match="no photos"):
        find_photos(tmp_path / "secret")


def test_a_link_to_itself_and_a_broken_disk_leave_the_other_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "broken/b.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "long.png").symlink_to("n" * 300 + ".png")
    close_folder(tmp_path / "broken", monkeypatch, errno.EIO)
    with (
        pytest.warns(PhotoWarning, match="Input/output error: .*broken"),
        pytest.warns(PhotoWarning, match=r"a link that leads nowhere: .*l\w+\.png', and 1 more$"),
    ):
        assert below(tmp_path) == ["a.png"]


def test_a_photo_that_is_gone_before_it_is_looked_at_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.png", "b.png")
    scandir = os.scandir

    def late(path: str) -> object:
        with scandir(path) as entries:
            found = list(entries)
        (tmp_path / "b.png").unlink(missing_ok=True)
        return nullcontext(found)

    monkeypatch.setattr(os, "scandir", late)
    with pytest.warns(PhotoWarning, match=r"No such file or directory: .*b\.png"):
        assert below(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("name", "include", "found"),
    [
        ("run/a.png", None, True),
        ("run/a.png", "*.jpg", False),
        ("run/a.png", ["*.jpg", "run/*"], True),
        ("run/a.html", None, False),
        (".run/a.png", None, False),
        ("../a.png", None, False),
    ],
)
def test_what_would_be_found_is_known_before_it_is_there(
    name: str, include: str | list[str] | None, found: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    assert would_be_found(folder / name, folder, include) is found
    assert would_be_found(tmp_path / "link" / name, folder, include) is found
    touch(folder, name, "b.jpg")
    assert (name in below(folder, include)) is found
