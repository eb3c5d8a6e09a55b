"""A working folder in which the documentation's commands find the files that they name, all of them tiny."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from doc_pages import ROOT
from PIL import Image

import npp

_PHOTOS = ("photos/a.png", "photos/b.jpg", "photos/c.png", "photos/city/d.png", "photos/city/e.png")


def make_world(folder: Path, photo: np.ndarray) -> Path:
    """Makes everything below ``folder``; returns the clone's place there, where commands run.

    Beside the clone stands ``shared``, as the configurations of measurements expect it.
    """
    clone = folder / "clone"
    for part in ("photos/city", "holiday", "tests/package"):
        (clone / part).mkdir(parents=True)
    for number, place in enumerate(_PHOTOS):
        _save(clone / place, photo, number)
    for number, place in enumerate(("photo.png", "holiday/beach.jpg", "holiday/hills.jpg")):
        _save(clone / place, photo, number + 5)
    frames = np.stack([photo[:32, :48], photo[8:40, 8:56]])
    (clone / "clip.bpg").write_bytes(npp.encode_animation(list(frames), 40, effort=0))
    npp.Recipe.load("detection").save(clone / "detection.safetensors")
    (clone / "my_network.py").write_text("from doc_networks import classifier as build\n")
    (clone / "my_detector.py").write_text("from doc_networks import detector as build\n")
    (clone / "configs").symlink_to(ROOT / "configs")
    for data in ("imagenet-sample", "bsds500", "coco-val128/images", "coco-train128/images", "plates-us"):
        for number in range(6):
            _save(folder / "shared/data" / data / f"{number}.png", photo, number)
        if data.startswith("coco-val128"):
            masks = folder / "shared/data/coco-val128/masks"
            masks.mkdir()
            for number in range(6):
                numbers = np.zeros((64 + number, photo.shape[1]), np.uint8)
                numbers[:, 40:] = 1
                Image.fromarray(numbers).save(masks / f"{number}.png")
    regions = "".join(f"{number}.png,8,8,48,16,abc\n" for number in range(6))
    (folder / "shared/data/plates-us/annotations.csv").write_text("file,x,y,width,height,text\n" + regions)
    return clone


def _save(path: Path, photo: np.ndarray, number: int) -> None:
    """A part of the photo that differs from number to number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.roll(photo, 13 * number, axis=1)[: 64 + number]).save(path)


def placed(code: str, clone: Path) -> str:
    """A block whose absolute folders are in the working folder."""
    return re.sub(r"(?<=[ =])/(photos|shared)\b", lambda found: f"{clone}/{found[1]}", code)
