"""Encodes a folder for a detector with a recipe, and reads it back at its own sizes, as a back end would."""

from __future__ import annotations

import torch
from gallery_pictures import arguments, panel, photo

import npp
from npp.files import write_file

NAMES = ("coffee", "rocket")


def main() -> None:
    out, size = arguments("A folder for a detector.")
    recipe = npp.Recipe.load("detection")
    photos = [photo(name, 2 * size) for name in NAMES]
    folder = out / "lean"
    folder.mkdir(exist_ok=True)
    for name, file in zip(NAMES, recipe.encode(photos, qp=40, effort=1), strict=True):
        write_file(folder / f"{name}.bpg", file, force=True)
    # The same from a shell: npp encode FOLDER -o lean/ --for detection --qp 40
    files = sorted(folder.glob("*.bpg"))
    for path in files:
        info = npp.probe(path)
        print(path.name, f"coded at {info.width}x{info.height}, {path.stat().st_size} bytes")
    pictures = recipe.decode(files, dtype=torch.float32)
    assert [tuple(one.shape[1:]) for one in pictures] == [(2 * size, 2 * size)] * len(files)
    captions = [f"{path.stem}: {path.stat().st_size} bytes" for path in files]
    panel(pictures, captions, out / "folder_for_detection.png")


if __name__ == "__main__":
    main()
