"""Rate-accuracy curves as a picture."""

from __future__ import annotations

import io
import math
from pathlib import Path

from npp.evaluation.measurements import PICTURE, Measurements
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
