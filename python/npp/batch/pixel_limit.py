"""A limit on pixels that holds within a block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from npp.codec.limits import max_pixels_within


class _PillowsLimit:
    """Pillow's own limit, one for the whole process; it is off while any block wants it off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_off = 0
        self._before: int | None = None

    @contextmanager
    def off(self) -> Iterator[None]:
        with self._lock:
            if not self._wanted_off:
                self._before = Image.MAX_IMAGE_PIXELS
                Image.MAX_IMAGE_PIXELS = None
            self._wanted_off += 1
        try:
            yield
        finally:
            with self._lock:
                self._wanted_off -= 1
                if not self._wanted_off:
                    Image.MAX_IMAGE_PIXELS = self._before


_PILLOWS = _PillowsLimit()


@contextmanager
def limit_on_pixels(pixels: int | None) -> Iterator[None]:
    """Sets npp's limit and turns Pillow's own off within the block; ``None`` changes neither.

    npp's limit holds for this thread and for threads that copy its context. Pillow's holds for the process:
    while any thread is in such a block, it is off in all threads.
    """
    if pixels is None:
        yield
        return
    with max_pixels_within(pixels), _PILLOWS.off():
        yield
