"""Plots of the curves, and strips of pictures to look at."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from npp.evaluation.measured_values import PICTURE, Measurements
from npp.files import write_file

_COLUMNS = 3
_INCHES = (4.6, 3.6)


def plot_curves(measured: Measurements, path: Path, title: str) -> None:
    """One panel for each quality, one line for each arm, written as PNG.

    Qualities that are better when smaller have a logarithmic axis.
    """
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(measured.axes))
    rows = math.ceil(len(measured.axes) / columns)
    figure = Figure(figsize=(_INCHES[0] * columns, _INCHES[1] * rows + 0.4), dpi=110, layout="tight")
    for i, axis in enumerate(measured.axes):
        panel = figure.add_subplot(rows, columns, i + 1)
        for name, arm in measured.arms.items():
            panel.plot(arm.bpp.mean(axis=1), arm.points(axis), marker="o", markersize=3, label=name)
        panel.set(xlabel="bpp", ylabel=axis.name)
        panel.set_title("decoded picture" if axis.network == PICTURE else axis.network, fontsize=10)
        if not axis.higher_is_better and all((arm.points(axis) > 0).all() for arm in measured.arms.values()):
            panel.set_yscale("log")
        panel.grid(alpha=0.3)
        if i == 0:
            panel.legend(fontsize=8)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_file(path, buffer.getvalue(), force=True)


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
