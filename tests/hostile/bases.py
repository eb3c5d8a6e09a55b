"""The good files that the hostile ones are made from; stored, so that no encoder's version matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from hostile.parts import Header, Parts

FOLDER = Path(__file__).parent / "base"
NAMES = ("still", "alpha", "animation", "gray", "deep422", "lossless", "small", "intra")
# implicit RDPCM: changes nothing in a lossy picture, and sends it to our own intra decoder.
_IMPLICIT_RDPCM = 1 << 6


def load() -> dict[str, bytes]:
    """The stored base files by name."""
    return {name: (FOLDER / f"{name}.bpg").read_bytes() for name in NAMES}


def picture(channels: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """(C, H, W): gradients and patches with edges."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        (x * 2 + y * (c + 1) + (x // 9 * 37 + y // 7 * 53 * (c + 1)) % 91) % 256 for c in range(channels)
    ]
    return np.stack(planes).astype(np.uint8)


def encode() -> dict[str, bytes]:
    """The base files as the installed encoder writes them."""
    import npp

    frames = [np.roll(picture(4, 48, 40), 3 * i, 2).transpose(1, 2, 0) for i in range(3)]
    files = {
        "still": npp.encode(_hwc(3, 80, 64), 44),
        "alpha": npp.encode(_hwc(4, 64, 48), 44, effort=2),
        "animation": npp.encode_animation(frames, 46, durations=[0.1, 0.2, 0.1], effort=2),
        "gray": npp.encode(_hwc(1, 40, 24), 40, effort=2),
        "deep422": npp.encode(_hwc(3, 40, 24), 44, chroma="422", bit_depth=10, effort=2),
        "lossless": npp.encode(_hwc(3, 24, 16), lossless=True, effort=2),
        "small": npp.encode(_hwc(4, 24, 24), 44, effort=2),
    }
    files["intra"] = Parts.parse(files["still"]).with_header(range_flags=_IMPLICIT_RDPCM).to_bytes()
    return files


def _hwc(channels: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    return picture(channels, width, height).transpose(1, 2, 0)


def header_of(file: bytes, index: int = -1) -> Header:
    """An HEVC header of a file, the colour stream's by default."""
    return Header.parse(Parts.parse(file).headers[index])
