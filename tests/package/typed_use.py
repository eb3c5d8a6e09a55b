"""What types a user's code gets from npp, for mypy: it is checked with the package and never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import assert_type

import npp


def files_of(batch: Tensor, array: np.ndarray[Any, Any], photo: Image.Image) -> None:
    files: list[bytes] = npp.encode(batch, 30)
    one: bytes = npp.encode(batch[0], 30)
    found: list[bytes | npp.BPGError | OSError] = npp.encode(batch, 30, errors="return")
    assert_type(npp.encode(array, 30), bytes)
    assert_type(npp.encode(photo, 30), bytes)
    assert_type(npp.encode([photo, photo], qp=[30, 31]), list[bytes])
    assert_type(npp.encode([array], errors="return"), list[bytes | npp.BPGError | OSError])
    print(files, one, found)


def pictures_of(file: bytes, path: Path) -> None:
    assert_type(npp.decode(file), Tensor)
    assert_type(npp.decode(path, dtype=torch.float32), Tensor)
    assert_type(npp.decode([file, path]), list[Tensor])
    assert_type(npp.decode([file], errors="return"), list[Tensor | npp.BPGError | OSError])


def files_and_pictures_of_a_recipe(recipe: npp.Recipe, photo: Image.Image, path: Path) -> None:
    assert_type(recipe.encode(photo), bytes)
    assert_type(recipe.encode([photo], [30]), list[bytes])
    assert_type(recipe.encode(photo, errors="return"), bytes | npp.BPGError | OSError | MemoryError)
    assert_type(recipe.encode([photo], errors="return"), list[bytes | npp.BPGError | OSError | MemoryError])
    assert_type(recipe.decode(path), Tensor)
    assert_type(recipe.decode([path]), list[Tensor])
    assert_type(recipe.decode(path, errors="return"), Tensor | npp.BPGError | OSError | MemoryError)
    assert_type(recipe.decode([path], errors="return"), list[Tensor | npp.BPGError | OSError | MemoryError])


def what_is_beside_the_pixels(exif: Image.Exif, xmp: bytearray) -> None:
    kept = npp.Metadata(exif=exif, xmp=xmp, extensions=[(7, b"mine")])
    assert_type(kept.exif, bytes | None)
    assert_type(kept.extensions, tuple[tuple[int, bytes], ...])


def coded_while_training(x: Tensor) -> None:
    assert_type(npp.compress(x, 34).x_hat, Tensor)
    assert_type(npp.compress(x, torch.tensor([30, 40])).bpp, Tensor)
    npp.transforms.BPG(qp=[25, 46])
