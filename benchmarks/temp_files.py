"""The usual loop around a codec: a PNG, two programs, a PNG back, one picture at a time."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

import npp

_QPS = (27, 37)
Step = Callable[[int, Path], None]


def _on_path(*programs: str) -> bool:
    return all(shutil.which(program) for program in programs)


def _bpg(qp: int, folder: Path) -> None:
    """x.png to y.png by the BPG tools."""
    source, coded, decoded = (str(folder / name) for name in ("x.png", "x.bpg", "y.png"))
    subprocess.run(["bpgenc", "-m", "8", "-q", str(qp), "-o", coded, source], check=True)
    subprocess.run(["bpgdec", "-o", decoded, coded], check=True)


def _as_y4m(picture: Image.Image) -> bytes:
    ycbcr = np.asarray(picture.convert("YCbCr"))
    height, width = ycbcr.shape[:2]
    chroma = ycbcr[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3)).astype(np.uint8)
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip C420jpeg\nFRAME\n".encode()
    return header + ycbcr[..., 0].tobytes() + chroma[..., 0].tobytes() + chroma[..., 1].tobytes()


def _x265(qp: int, folder: Path) -> None:
    """x.png to y.png as the BPG tools do it, by x265's own program with bpgenc's settings.

    The decoder is npp's, in this process: what starting bpgdec costs is left out, to npp's disadvantage.
    """
    raw, coded = str(folder / "x.y4m"), str(folder / "x.hevc")
    picture = Image.open(folder / "x.png")
    Path(raw).write_bytes(_as_y4m(picture))
    settings = ["--preset", "veryslow", "--tune", "ssim", "--qp", str(qp), "--aq-mode", "0", "--keyint", "1"]
    subprocess.run(
        ["x265", *settings, "--bframes", "0", "--frames", "1", "-o", coded, raw],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    decoded = npp.decode((folder / "x.bpg").read_bytes(), threads=1)
    Image.fromarray(decoded.permute(1, 2, 0).numpy()).save(folder / "y.png")


def _programs() -> tuple[Step, str] | None:
    if _on_path("bpgenc", "bpgdec"):
        return _bpg, "bpgenc and bpgdec, measured here"
    if _on_path("x265"):
        return _x265, "x265's own program with bpgenc's settings in bpgenc's place, measured here"
    return None


def _rounds(photos: list[Tensor], step: Step, folder: Path) -> Iterator[tuple[float, int]]:
    """Seconds and pixels of every photo at every qp."""
    for photo in photos:
        picture = Image.fromarray(photo.permute(1, 2, 0).numpy())
        for qp in _QPS:
            (folder / "x.bpg").write_bytes(npp.encode(photo, qp, effort=1))  # what the stand-in decodes
            start = time.perf_counter()
            picture.save(folder / "x.png")
            step(qp, folder)
            np.asarray(Image.open(folder / "y.png"))
            yield time.perf_counter() - start, photo.shape[1] * photo.shape[2]


def usual_loop(photos: list[Tensor]) -> tuple[float, str] | None:
    """Wall milliseconds a megapixel of the loop at bpgenc's level 8, and what was measured.

    None where neither the BPG tools nor x265's program are on PATH.
    """
    found = _programs()
    if found is None:
        return None
    step, source = found
    with tempfile.TemporaryDirectory() as folder:
        measured = list(_rounds(photos, step, Path(folder)))
    return sum(s for s, _ in measured) / sum(p for _, p in measured) * 1e9, source
