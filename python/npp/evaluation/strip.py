"""A picture strip: what an arm does to a few photos."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from npp.files import write_file

_GAIN = 8
_GAP = 6
_LABEL = 20
_FONT_SIZE = 13
_LEAST_WIDTH = 200  # of a column, for its labels


@dataclass(frozen=True)
class StripRow:
    """One photo.

    Attributes:
        original, filtered, decoded: (3, H, W) floats in [0, 1].
        bpp: of the file.
        anchor_bpp: of the anchor's file at the same qp.
    """

    original: Tensor
    filtered: Tensor
    decoded: Tensor
    bpp: float
    anchor_bpp: float


def _picture(image: Tensor) -> Image.Image:
    samples = (image.detach().cpu().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(np.ascontiguousarray(samples.permute(1, 2, 0).numpy()))


def _cells(row: StripRow) -> list[tuple[str, Image.Image]]:
    difference = 0.5 + _GAIN * (row.filtered - row.original)
    return [
        (f"original (anchor {row.anchor_bpp:.3f} bpp)", _picture(row.original)),
        ("preprocessed", _picture(row.filtered)),
        (f"decoded ({row.bpp:.3f} bpp)", _picture(row.decoded)),
        (f"what was changed, x{_GAIN}", _picture(difference)),
    ]


def draw_strip(rows: Sequence[StripRow], path: Path, title: str) -> None:
    """Writes a PNG: a row a photo; original, preprocessed, decoded, and what was changed, times 8."""
    grid = [_cells(row) for row in rows]
    columns = [max(_LEAST_WIDTH, *(cells[i][1].width for cells in grid)) + _GAP for i in range(len(grid[0]))]
    width = sum(columns) + _GAP
    heights = [max(picture.height for _, picture in cells) + _LABEL + _GAP for cells in grid]
    canvas = Image.new("RGB", (width, sum(heights) + _LABEL + _GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT_SIZE)
    draw.text((_GAP, 3), title, "black", font)
    top = _LABEL + _GAP
    for cells, height in zip(grid, heights, strict=True):
        left = _GAP
        for column, (label, picture) in zip(columns, cells, strict=True):
            draw.text((left, top), label, "black", font)
            canvas.paste(picture, (left, top + _LABEL))
            left += column
        top += height
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    write_file(path, buffer.getvalue(), force=True)
