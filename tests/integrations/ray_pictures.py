"""Pictures for tests of Ray runs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def png_bytes(photo: np.ndarray) -> bytes:
    """A picture (H, W, C) as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(photo)).save(out, "PNG")
    return out.getvalue()
