"""The command line run for real, and pictures for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import npp
import npp.cli

EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6


def run(*arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as stop:
        npp.cli.main([str(argument) for argument in arguments])
    code = stop.value.code
    assert isinstance(code, int)
    return code


def encode(*arguments: object) -> int:
    """``npp encode`` at a low effort."""
    return run("encode", "--effort", 1, *arguments)


def decoded(file: Path | str | bytes) -> np.ndarray:
    """A BPG file's pixels, (H, W, C) or (F, H, W, C), 8 bits."""
    data = file if isinstance(file, bytes) else Path(file).read_bytes()
    return npp.decode(data).movedim(-3, -1).numpy()


def pixels(path: Path | str) -> np.ndarray:
    """A picture file's pixels."""
    with Image.open(path) as image:
        return np.asarray(image)


def files(folder: Path) -> list[str]:
    """All files below a folder, temporary ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def deep_samples(deep_photo: np.ndarray, channels: int) -> np.ndarray:
    alpha = deep_photo[::-1, :, :1]
    return {
        1: deep_photo[..., :1],
        2: np.dstack([deep_photo[..., :1], alpha]),
        3: deep_photo,
        4: np.dstack([deep_photo, alpha]),
    }[channels]


def spread_gray(samples: np.ndarray) -> np.ndarray:
    """Gray with alpha as RGBA."""
    return samples[..., [0, 0, 0, 1]] if samples.shape[-1] == 2 else samples


def cmyk_bpg(photo: np.ndarray, metadata: npp.Metadata | None = None, *, frames: int = 1) -> bytes:
    """A file whose fourth plane is W: npp writes none, but it is what alpha would be, with other flags."""
    pictures = [np.dstack([photo, photo[::-1, :, at % 3]]) for at in range(frames)]
    if frames == 1:
        file = npp.encode(pictures[0], effort=0, metadata=metadata)
    else:
        file = npp.encode_animation(pictures, effort=0, metadata=metadata)
    found = file[:4] + bytes((file[4] & ~0x10, file[5] | 4)) + file[6:]
    assert npp.probe(found).has_w
    return found


def moving(photo: np.ndarray, mode: str = "RGB") -> list[Image.Image]:
    pictures = [Image.fromarray(np.ascontiguousarray(photo[:64, 9 * i : 9 * i + 64])) for i in range(4)]
    if mode == "RGBA":
        for i, picture in enumerate(pictures):
            picture.putalpha(Image.fromarray(((np.indices((64, 64))[1] // 8 + i) % 2 * 255).astype(np.uint8)))
    return [picture.convert(mode) for picture in pictures]


def save_moving(path: str, frames: list[Image.Image], **options: Any) -> None:
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


@cache
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
