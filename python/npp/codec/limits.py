"""How large a picture may be, how many threads the codec may use, and how many idle encoders it keeps."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import npp._bpg as _bpg
from npp.checks import is_int, typed_whole

_DEFAULT_MAX_PIXELS = 178_956_970  # Pillow's limit for raising an error on a decompression bomb
_UNLIMITED = 1e9
#: Of a call.
MOST_THREADS = 4096
_max_pixels = _DEFAULT_MAX_PIXELS
_max_pixels_here: ContextVar[int | None] = ContextVar("npp_max_pixels", default=None)


def get_max_pixels() -> int:
    """The largest number of pixels of a picture, or of all frames of an animation together."""
    return _max_pixels_here.get() or _max_pixels


def why_too_large(frames: int, width: int, height: int, subject: str | None = None) -> str | None:
    """The message about frames that have more pixels than the limit; ``None`` where they are within it.

    Args:
        frames: that are counted together, 1 for a picture.
        width, height: of each, in pixels.
        subject: the start of the message, up to the size, as ``x is``; by default the number of frames.
    """
    pixels = frames * width * height
    if pixels <= get_max_pixels():
        return None
    size = f"{width}x{height}"
    start = f"{frames} frame(s) of {size} are {pixels}" if subject is None else f"{subject} {size} = {pixels}"
    return f"{start} pixels; at most {get_max_pixels()} are allowed (npp.set_max_pixels)"


def set_max_pixels(pixels: int | None) -> None:
    """Sets the limit that protects against files which claim huge sizes, and against typing errors.

    Args:
        pixels: at least 1; ``None`` puts the default of 178,956,970 back.

    Raises:
        TypeError: ``pixels`` is no integer.
        ValueError: ``pixels`` is not positive.
    """
    global _max_pixels
    _max_pixels = _DEFAULT_MAX_PIXELS if pixels is None else checked_pixels("pixels", pixels)


def checked_pixels(name: str, pixels: int) -> int:
    """A valid limit on the pixels of a picture, as Python's own integer.

    Raises:
        TypeError: it is no integer.
        ValueError: it is not positive.
    """
    # The codec counts in 64 bits, and no picture has more.
    return min(_whole_or_float(name, pixels, 1, " or None"), sys.maxsize)


def _whole_or_float(name: str, value: Any, least: int, beside: str = "") -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e9
    return typed_whole(name, value, least, beside=beside)


@contextmanager
def max_pixels_within(pixels: int) -> Iterator[None]:
    """Sets another limit within a ``with`` block, for this thread and for threads that copy its context.

    Raises:
        TypeError: ``pixels`` is no integer.
        ValueError: ``pixels`` is not positive.
    """
    token = _max_pixels_here.set(checked_pixels("pixels", pixels))
    try:
        yield
    finally:
        _max_pixels_here.reset(token)


@functools.cache
def _cgroup_quota() -> float:
    """The number of cores that a container may use (cgroup v2); a very large number where there is no limit.

    Read once: the file costs as much as all else that a call does in Python.
    """
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return _UNLIMITED
    return _UNLIMITED if quota == "max" else int(quota) / int(period)


def usable_cores() -> int:
    """Cores that this process may run on: its CPU affinity and its container's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, int(min(affinity, math.ceil(_cgroup_quota()))))


def _is_loader_worker() -> bool:
    """Whether this process is a worker of a DataLoader, which has loaded the module asked for here."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None


def resolve_threads(threads: int | None) -> int:
    """The number of codec threads for a call.

    Args:
        threads: 1 to 4096, or ``None``: all usable cores, but 1 inside a DataLoader worker, where the
            workers themselves are the parallelism.

    Raises:
        TypeError: not an integer.
        ValueError: out of range.
    """
    if threads is None:
        return 1 if _is_loader_worker() else usable_cores()
    # Numbers also come from the command line, which has no None.
    beside = "" if is_int(threads) else " or None"
    return typed_whole("threads", threads, 1, MOST_THREADS, beside)


def clear_encoder_cache() -> None:
    """Closes all idle encoders, and returns their memory and that of freed outputs to the system."""
    _bpg.clear_encoders()


def set_encoder_cache_limit(pixels: int) -> None:
    """Limits the encoders that stay open between calls.

    Args:
        pixels: pictures that idle encoders are kept for, together; a picture counts as at least 65,536.
            0 keeps none. The default is 8,388,608 (a hundred encoders of 256x256 or smaller).

    Raises:
        TypeError: no integer.
        ValueError: negative.
    """
    _bpg.set_encoder_limit(min(_whole_or_float("pixels", pixels, 0), sys.maxsize))
