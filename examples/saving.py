"""What the preprocessor saves: bits at equal accuracy of EfficientNet-Lite0, on real photos.

    python examples/saving.py --out build/demo            # photos inside scikit-image's package
    python examples/saving.py --photos FOLDER             # your own

Three ways to the same accuracy are compared: BPG as bpgenc writes it, BPG with the tools that networks like
(tune "machine"), and that behind the preprocessor that comes with npp. `npp evaluate` does the work; this
script only cuts the photos into tiles and says what to compare.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image
from rich.console import Console

from npp.evaluation import evaluate, parse_config
from npp.photos import find_photos

PHOTOS = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket")
TILE = 224
QPS = [25, 29, 33, 37, 41, 45]
WEIGHTS = "classification"


def tiles(photo: Image.Image) -> Iterator[Image.Image]:
    """Whole tiles of a photo, row by row."""
    for top in range(0, photo.height - TILE + 1, TILE):
        for left in range(0, photo.width - TILE + 1, TILE):
            yield photo.crop((left, top, left + TILE, top + TILE))


def write_tiles(folder: Path) -> Path:
    """Cuts scikit-image's photos; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(skimage.data.__file__).parent
    for name in PHOTOS:
        path = next(path for path in source.glob(f"{name}.*") if path.suffix != ".py")
        with Image.open(path) as image:
            for i, tile in enumerate(tiles(image.convert("RGB"))):
                tile.save(folder / f"{name}_{i}.png")
    return folder


def comparison(photos: Path) -> dict[str, Any]:
    """The configuration, as `npp evaluate` would read it from YAML."""
    machine = {"effort": 4, "tune": "machine"}
    return {
        "name": "saving",
        "data": {"folder": str(photos), "size": TILE, "part": "all"},
        "qps": QPS,
        "seen": [{"name": "classification", "model": "efficientnet-lite0"}],
        "arms": [
            {"name": "bpg", "effort": 8, "tune": "ssim"},
            {"name": "machine", **machine},
            {"name": "preprocessor", **machine, "prefilter": {"preprocessor": WEIGHTS}},
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What the preprocessor saves, on real photos.")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for the results")
    parser.add_argument("--photos", type=Path, help="folder of photos instead of scikit-image's")
    options = parser.parse_args()
    photos = options.photos or write_tiles(options.out / "tiles")
    print(f"Measuring {len(find_photos(photos))} pictures at {len(QPS)} qps in three ways; a few minutes")
    out = options.out / "saving"
    found = evaluate(parse_config(comparison(photos)), out)
    for table in found.tables:
        Console().print(table.rich())
    print("\nFew pictures give wide intervals; docs/results.md has those of 300 photos.")
    print(f"The curves are in {out / 'curves.png'}, pictures in {out / 'strip.png'}")


if __name__ == "__main__":
    main()
