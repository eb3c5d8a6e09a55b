"""Photos: found, split and loaded the same way every time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from npp.config.yaml_files import expand
from npp.photos.finding import find_photos, split
from npp.photos.loading import load_photo

NAMES = [Path(f"{i}.jpg") for i in range(400)]


def save(path: Path, width: int, height: int) -> Path:
    """Red grows to the right, green downwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, height))
    image.putdata([(x, y, 0) for y in range(height) for x in range(width)])
    image.save(path)
    return path


def test_finds_photos_below_a_folder_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", "a/d.bmp"):
        save(tmp_path / name, 8, 8)
    (tmp_path / "a/notes.txt").write_text("x")

    def names(include: str | list[str] | None = None) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path, include)]

    assert names() == ["a/c.png", "a/d.bmp", "b.png"]
    assert names("a/*") == ["a/c.png", "a/d.bmp"]
    assert names("*.png") == ["a/c.png", "b.png"]
    assert names(["a/*.png", "*.bmp"]) == ["a/c.png", "a/d.bmp"]
    with pytest.raises(ValueError, match=r"no photos \(\*\.webp\)"):
        names("*.webp")
    with pytest.raises(ValueError, match="missing is not a folder"):
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
    with pytest.raises(ValueError, match="part must be one of train, val, test, not 'dev'"):
        split(NAMES, "dev")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fractions must be three numbers"):
        split(NAMES, fractions=(0.5, 0.1))


def test_crop_is_the_centre_and_resize_the_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 60, 40)
    crop = (load_photo(path, 20) * 255).round()
    assert crop.shape == (3, 20, 20) and crop.dtype == torch.float32
    assert crop[0, 0].tolist() == list(range(20, 40)) and crop[1, :, 0].tolist() == list(range(10, 30))
    small = load_photo(path, 20, "resize") * 255
    assert small.shape == (3, 20, 20)
    assert small[1, 0, 0] < 3 and small[1, -1, 0] > 36
    assert load_photo(path, mode="full").shape == (3, 40, 60)
    assert load_photo(path, 50).shape == (3, 50, 50)
    wide = (load_photo(path, (10, 30)) * 255).round()
    assert wide[0, 0].tolist() == list(range(15, 45)) and wide[1, :, 0].tolist() == list(range(15, 25))
    assert load_photo(path, (10, 30), "resize").shape == (3, 10, 30)


def test_photo_is_turned_as_exif_says(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 60, 40)
    with Image.open(path) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / "turned.png", exif=exif)
    assert load_photo(tmp_path / "turned.png", mode="full").shape == (3, 60, 40)


def test_load_names_wrong_arguments(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 8, 8)
    with pytest.raises(ValueError, match="mode must be one of crop, resize, full, not 'fit'"):
        load_photo(path, 8, "fit")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size must be given with mode 'crop'"):
        load_photo(path)
    with pytest.raises(ValueError, match="size must be a number or"):
        load_photo(path, (8, 8, 8))
    with pytest.raises(ValueError, match="size must be None"):
        load_photo(path, 8, "full")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(OSError, match=r"broken\.png"):
        load_photo(tmp_path / "broken.png", 8)
