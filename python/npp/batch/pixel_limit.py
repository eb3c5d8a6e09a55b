"""A limit on pixels for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from npp.codec.limits import get_max_pixels, set_max_pixels


@contextmanager
def limit_on_pixels(pixels: int | None) -> Iterator[None]:
    """npp's limit as given, and none of Pillow's own beside it; ``None`` leaves both.

    Both are the process's: other threads have them, too.
    """
    if pixels is None:
        yield
        return
    before = get_max_pixels(), Image.MAX_IMAGE_PIXELS
    set_max_pixels(pixels)
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        set_max_pixels(before[0])
        Image.MAX_IMAGE_PIXELS = before[1]
