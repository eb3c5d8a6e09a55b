"""The usual loop around a codec: a PNG, two programs, a PNG back, one picture at a time."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

Step = Callable[[int, Path], None]


def _on_path(*programs: str) -> bool:
    return all(shutil.which(program) for program in programs)


def _bpg(qp: int, folder: Path) -> None:
    """x.png to y.png by the BPG tools."""
    source, coded, decoded = (str(folder / name) for name in ("x.png", "x.bpg", "y.png"))
    subprocess.run(["bpgenc", "-m", "8", "-q", str(qp), "-o", coded, source], check=True)
    subprocess.run(["bpgdec", "-o", decoded, coded], check=True)


def as_y4m(picture: Image.Image) -> bytes:
    """A picture of even sides as the one frame of a YUV4MPEG2 file, 4:2:0."""
    ycbcr = np.asarray(picture.convert("YCbCr"))
    height, width = ycbcr.shape[:2]
    chroma = ycbcr[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3)).astype(np.uint8)
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip C420jpeg\nFRAME\n".encode()
    return header + ycbcr[..., 0].tobytes() + chroma[..., 0].tobytes() + chroma[..., 1].tobytes()


def _from_yuv(samples: bytes, size: tuple[int, int]) -> Image.Image:
    half = size[0] // 2, size[1] // 2
    luma, quarter = size[0] * size[1], half[0] * half[1]
    planes = [Image.frombytes("L", size, samples[:luma])]
    for begin in (luma, luma + quarter):
        chroma = Image.frombytes("L", half, samples[begin : begin + quarter])
        planes.append(chroma.resize(size, Image.Resampling.BILINEAR))
    return Image.merge("YCbCr", planes).convert("RGB")


def _hevc(qp: int, folder: Path) -> None:
    """x.png to y.png as the BPG tools do it, by x265's own program with bpgenc's settings, and dec265."""
    raw, coded, decoded = (str(folder / name) for name in ("x.y4m", "x.hevc", "y.yuv"))
    picture = Image.open(folder / "x.png")
    Path(raw).write_bytes(as_y4m(picture))
    settings = ["--preset", "veryslow", "--tune", "ssim", "--qp", str(qp), "--aq-mode", "0", "--keyint", "1"]
    encode = ["x265", *settings, "--bframes", "0", "--frames", "1", "-o", coded, raw]
    decode = ["libde265-dec265", "-q", "-o", decoded, coded]
    for command in (encode, decode):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _from_yuv(Path(decoded).read_bytes(), picture.size).save(folder / "y.png")


def _programs() -> tuple[Step, str] | None:
    if _on_path("bpgenc", "bpgdec"):
        return _bpg, "measured here with bpgenc and bpgdec"
    if _on_path("x265", "libde265-dec265"):
        return (
            _hevc,
            "measured here with x265's own program (bpgenc's settings) and dec265 in the BPG tools' place",
        )
    return None


def _rounds(
    photos: list[Tensor], qps: Sequence[int], step: Step, folder: Path
) -> Iterator[tuple[float, int]]:
    """Seconds and pixels of every photo at every qp."""
    for photo in photos:
        picture = Image.fromarray(photo.permute(1, 2, 0).numpy())
        for qp in qps:
            start = time.perf_counter()
            picture.save(folder / "x.png")
            step(qp, folder)
            np.asarray(Image.open(folder / "y.png"))
            yield time.perf_counter() - start, photo.shape[1] * photo.shape[2]


def usual_loop(photos: list[Tensor], qps: Sequence[int], runs: int) -> tuple[float, str] | None:
    """Median wall milliseconds a megapixel of the loop at bpgenc's level 8, and what was measured.

    None where neither the BPG tools nor x265's and libde265's programs are on PATH.
    """
    found = _programs()
    if found is None:
        return None
    step, source = found
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            measured = list(_rounds(photos, qps, step, Path(folder)))
            times.append(sum(s for s, _ in measured) / sum(p for _, p in measured) * 1e9)
    return statistics.median(times), source
