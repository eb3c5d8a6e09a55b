"""Plots of the curves, and strips of pictures to look at."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from npp.evaluation.measured_values import PICTURE, Measurements
from npp.evaluation.strip_rows import ShownFile, StripRow
from npp.files import write_file

_COLUMNS = 3
_INCHES = (4.6, 3.6)


def plot_curves(measured: Measurements, path: Path, title: str) -> None:
    """Writes a PNG with one panel for each quality and one line for each arm.

    If lower is better, the axis is logarithmic. Names are shown literally: ``$`` and ``_`` have no special
    meaning.
    """
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(measured.axes))
    rows = math.ceil(len(measured.axes) / columns)
    figure = Figure(figsize=(_INCHES[0] * columns, _INCHES[1] * rows + 0.4), dpi=110, layout="tight")
    for i, axis in enumerate(measured.axes):
        panel = figure.add_subplot(rows, columns, i + 1)
        lines = [
            line
            for arm in measured.arms.values()
            for line in panel.plot(arm.bpp.mean(axis=1), arm.points(axis), marker="o", markersize=3)
        ]
        panel.set_xlabel("bpp")
        panel.set_ylabel(axis.name, parse_math=False)
        shown = "decoded picture" if axis.network == PICTURE else axis.network
        panel.set_title(shown, fontsize=10, parse_math=False)
        if measured.logarithmic(axis):
            panel.set_yscale("log")
        panel.grid(alpha=0.3)
        if i == 0:
            _name_lines(panel.legend(lines, ["arm"] * len(lines), fontsize=8), list(measured.arms))
    figure.suptitle(title, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_file(path, buffer.getvalue(), force=True)


def _name_lines(legend: Any, names: Sequence[str]) -> None:
    """Sets the names in a legend, which would skip names that begin with ``_`` when it is created."""
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


#: Factor by which changes before the codec are amplified in pictures.
GAIN = 8
_GAP = 6
_LABEL = 20
_FONT_SIZE = 13
_LEAST_WIDTH = 260  # of a column in pixels, so that its labels fit
_OPACITY = 0.55  # of the map at its largest offsets
_GRID = (255, 255, 255, 70)
_FINER, _COARSER = (220, 40, 30), (40, 90, 220)
_SAME, _OTHER = (40, 200, 60), (235, 40, 40)


def as_picture(image: Tensor) -> Image.Image:
    """Floats (3, H, W) in [0, 1] as a picture of 8 bits per sample."""
    samples = (image.detach().cpu().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(np.ascontiguousarray(samples.permute(1, 2, 0).numpy()))


def map_layer(qp_map: Tensor) -> Image.Image:
    """A map (h, w) as a transparent overlay, one pixel per block: red is finer, blue coarser."""
    offsets = qp_map.numpy()
    strengths = np.clip(np.abs(offsets) / max(float(np.abs(offsets).max()), 1e-9), 0, 1)
    colours = np.where((offsets < 0)[..., None], _FINER, _COARSER)
    return Image.fromarray(np.dstack([colours, strengths * _OPACITY * 255]).round().astype(np.uint8), "RGBA")


def change_picture(change: Tensor) -> Image.Image:
    """Changes before the codec (3, H, W) as a picture, amplified by :data:`GAIN` around gray."""
    return as_picture(0.5 + GAIN * change)


def map_over(image: Tensor, qp_map: Tensor) -> Image.Image:
    """A photo with its map as an overlay and the grid of blocks: red is finer, blue coarser.

    Args:
        image: (3, H, W) floats in [0, 1].
        qp_map: (h, w) offsets; the map of a scaled picture is stretched.
    """
    photo = as_picture(image).convert("RGBA")
    size = (photo.width, photo.height)
    photo.alpha_composite(map_layer(qp_map).resize(size, Image.Resampling.NEAREST))
    height, width = qp_map.shape
    lines = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(lines)
    for column in range(1, width):
        x = round(column * size[0] / width)
        draw.line([(x, 0), (x, size[1])], _GRID)
    for row in range(1, height):
        y = round(row * size[1] / height)
        draw.line([(0, y), (size[0], y)], _GRID)
    photo.alpha_composite(lines)
    return photo.convert("RGB")


def with_boxes(shown: ShownFile) -> Image.Image:
    """A picture with its boxes: green if the detector finds them in the original too, else red."""
    picture = as_picture(shown.image)
    if shown.boxes is None:
        return picture
    draw = ImageDraw.Draw(picture)
    for box, same in zip(shown.boxes.boxes.tolist(), shown.boxes.found.tolist(), strict=True):
        draw.rectangle([round(side) for side in box], outline=_SAME if same else _OTHER, width=2)
    return picture


def _cells(row: StripRow) -> list[tuple[str, Image.Image]]:
    cells = [(row.original.label, with_boxes(row.original))]
    if row.qp_map is not None:
        most = float(row.qp_map.abs().max())
        cells.append(
            (f"map: red finer, blue coarser, to {most:.1f} qp", map_over(row.original.image, row.qp_map))
        )
    if row.change is not None:
        cells.append((f"what was changed before the codec, x{GAIN}", change_picture(row.change)))
    return cells + [(shown.label, with_boxes(shown)) for shown in row.files]


def draw_strip(rows: Sequence[StripRow], path: Path, title: str) -> None:
    """Writes a PNG with a row for each photo: original, map, changes before the codec, anchor, arm."""
    grid = [_cells(row) for row in rows]
    most = max(len(cells) for cells in grid)
    columns = [
        max(_LEAST_WIDTH, *(cells[i][1].width for cells in grid if i < len(cells))) + _GAP
        for i in range(most)
    ]
    width = sum(columns) + _GAP
    heights = [max(picture.height for _, picture in cells) + _LABEL + _GAP for cells in grid]
    canvas = Image.new("RGB", (width, sum(heights) + _LABEL + _GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT_SIZE)
    draw.text((_GAP, 3), title, "black", font)
    top = _LABEL + _GAP
    for cells, height in zip(grid, heights, strict=True):
        left = _GAP
        for column, (label, picture) in zip(columns, cells, strict=False):
            draw.text((left, top), label, "black", font)
            canvas.paste(picture, (left, top + _LABEL))
            left += column
        top += height
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    write_file(path, buffer.getvalue(), force=True)
