"""One hostile file through all doors; nothing may come out but a picture or the right error."""

from __future__ import annotations

import ctypes
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import npp
import npp.pillow

warnings.simplefilter("ignore", Image.DecompressionBombWarning)
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_MALLOC_TRIM: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: pad)


@dataclass
class Report:
    """What became of a file."""

    outcome: str = ""
    error: str = ""
    shape: tuple[int, ...] = ()
    problems: list[str] = field(default_factory=list)
    cpu_seconds: float = 0
    rss_kib: int = 0


def _kib(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def _probed(data: bytes, report: Report) -> npp.ImageInfo | None:
    try:
        return npp.probe(data)
    except npp.DecodeError:
        return None
    except Exception as error:
        report.problems.append(f"probe raises {error!r}")
        return None


def _wanted_shape(info: npp.ImageInfo) -> tuple[int, ...]:
    one = info.channels, info.height, info.width
    return (info.frames, *one) if info.animation else one


def _decoded(data: bytes, report: Report) -> Tensor | None:
    try:
        return npp.decode(data, threads=1)
    except (npp.DecodeError, npp.UnsupportedError) as error:
        report.error = f"{type(error).__name__}: {error}"
        return None
    except Exception as error:
        report.error = repr(error)
        report.problems.append(f"decode raises {error!r}")
        return None


def _compare(data: bytes, info: npp.ImageInfo | None, pixels: Tensor, report: Report) -> None:
    report.shape = tuple(pixels.shape)
    if info is None:
        report.problems.append("decode accepts what probe refuses")
    elif report.shape != _wanted_shape(info):
        report.problems.append(f"decoded to {report.shape}, probe says {_wanted_shape(info)}")
    if not torch.equal(pixels, npp.decode(data, threads=1)):
        report.problems.append("decoded differently the second time")


def _open_with_pillow(data: bytes, info: npp.ImageInfo | None, decodes: bool, report: Report) -> None:
    try:
        image = Image.open(io.BytesIO(data))
    except (OSError, Image.DecompressionBombError) as error:
        if info is not None and isinstance(error, OSError):
            report.problems.append(f"Pillow does not open what probe accepts: {error}")
        return
    if info is None:
        report.problems.append("Pillow opens what probe refuses")
        return
    try:
        image.seek(image.n_frames - 1)  # the first frame can be had where later ones are damaged
        image.load()
    except OSError as error:
        if decodes:
            report.problems.append(f"Pillow does not load what decode accepts: {error}")
        return
    if not decodes or image.size != (info.width, info.height):
        report.problems.append(f"Pillow loads {image.size}")


def check(data: bytes) -> Report:
    """Through probe, decode (twice) and Pillow, with CPU time and the peak of resident memory."""
    report = Report()
    _MALLOC_TRIM(0)  # what earlier files have left over must not hide what this one takes
    _CLEAR_REFS.write_text("5")  # the peak starts anew
    before = _kib("VmRSS")
    start = time.process_time()
    info = _probed(data, report)
    pixels = _decoded(data, report)
    report.outcome = "refused" if pixels is None else "decoded"
    report.cpu_seconds = time.process_time() - start
    report.rss_kib = max(0, _kib("VmHWM") - before)
    if pixels is not None:
        _compare(data, info, pixels, report)
    _open_with_pillow(data, info, pixels is not None, report)
    return report
