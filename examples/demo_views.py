"""The demo's pictures: squares cut from real photos, as a classifier would get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from demo_progress import Progress, untold
from PIL import Image

from npp.photos import find_photos, open_photo, photo_size

#: Photos inside packages, which pip brings and nothing else has to be downloaded for.
PACKAGE_PHOTOS = {
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
    "skimage": (
        "data/astronaut.png",
        "data/chelsea.png",
        "data/coffee.png",
        "data/motorcycle_left.png",
        "data/rocket.jpg",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
#: Photos of Debian's packages of desktop backgrounds, below the folder of ``tools/demo-photos``.
BACKGROUNDS = (
    "lomiri-wallpapers-16.04/usr/share/backgrounds/*.jpg",
    "mate-backgrounds/usr/share/backgrounds/mate/nature/*.jpg",
)
# Among them, and no photos.
_DRAWINGS = ("analogpattern_by_Peter_Nerlich", "umang_by_Abhishek_Mudgal")
SIDE = 224
MOST_VIEWS = 66
# Parts of a photo's short side that a square has: the whole of it first, then details.
_PARTS = (1.0, 0.75)


@dataclass(frozen=True)
class View:
    """One square of a photo.

    Attributes:
        photo: the photo's name.
        box: left, top, right, bottom in the photo.
    """

    photo: str
    box: tuple[int, int, int, int]


def package_photos() -> dict[str, Path]:
    """Paths of the photos in installed packages, by name; packages are not imported, and may be missing."""
    found = {}
    for package, files in PACKAGE_PHOTOS.items():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            paths = [Path(folder) / file for file in files]
            found.update({path.stem: path for path in paths if path.is_file()})
    return found


def background_photos(folder: Path) -> dict[str, Path]:
    """Paths of the photos that ``tools/demo-photos`` unpacked into a folder, by name; there may be none."""
    paths = [path for pattern in BACKGROUNDS for path in sorted(folder.glob(pattern))]
    return {path.stem.replace("_", "-"): path for path in paths if path.stem not in _DRAWINGS}


def folder_photos(folder: Path) -> dict[str, Path]:
    """Paths of a folder's photos by name, at most 66 of them, taken evenly."""
    paths = find_photos(folder)
    step = max(1, len(paths) / MOST_VIEWS)
    chosen = [paths[int(i * step)] for i in range(min(len(paths), MOST_VIEWS))]
    return {f"{i:02d}-{path.stem}": path for i, path in enumerate(chosen)}


def _places(length: int, side: int) -> list[int]:
    """Starts of squares along a side of a photo: the middle first, then both ends if they differ enough."""
    rest = length - side
    return [rest // 2, 0, rest] if rest >= side // 6 else [rest // 2]


def views_of(photo: str, width: int, height: int) -> Iterator[View]:
    """Squares of a photo, the one in the middle of the whole first; none is enlarged to 224 pixels."""
    for part in _PARTS:
        side = int(min(width, height) * part)
        if side >= SIDE:
            for top in _places(height, side):
                for left in _places(width, side):
                    yield View(photo, (left, top, left + side, top + side))


def choose_views(sizes: Mapping[str, tuple[int, int]]) -> list[View]:
    """At most 66 views: the first of every photo, the second of every photo, and so on.

    Args:
        sizes: width and height of the photos by name.
    """
    each = [list(views_of(name, *size)) for name, size in sizes.items()]
    most = max(map(len, each), default=0)
    turns = [views[turn] for turn in range(most) for views in each if turn < len(views)]
    return sorted(turns[:MOST_VIEWS], key=lambda view: view.photo)


_Read = TypeVar("_Read")


def _read(read: Callable[[Path], _Read], path: Path) -> _Read | None:
    """What a function reads of a photo; ``None``, and a line about it, where it cannot be read."""
    try:
        return read(path)
    except (OSError, ValueError) as error:
        print(f"  left out: {error}")
        return None


def write_views(photos: Mapping[str, Path], folder: Path, progress: Progress = untold) -> dict[str, str]:
    """Writes every view as a PNG of 224x224 pixels, in place of what the folder had.

    Returns:
        The photo's name by the file's name. The view in the middle of the whole photo is ``PHOTO_0.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    known = {name: size for name, path in photos.items() if (size := _read(photo_size, path)) is not None}
    views = choose_views({name: (width, height) for name, (height, width) in known.items()})
    found = {}
    for photo in dict.fromkeys(view.photo for view in views):
        progress(1)
        image = _read(open_photo, photos[photo])
        if image is None:
            continue
        for number, view in enumerate(one for one in views if one.photo == photo):
            square = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, view.box, reducing_gap=3.0)
            square.save(folder / f"{photo}_{number}.png")
            found[f"{photo}_{number}.png"] = photo
    return found
