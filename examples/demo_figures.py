"""The demo's two pictures: a strip that shows one photo, and curves that show many."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demo_analysis import Beforehand
from demo_strip import StripCase
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from npp.evaluation import Evaluation
from npp.files import write_file

_PANEL = 448
_GAP = 12
_FONT = 19
_LINE = 26
_LETTERS = 190  # of a line below the strip
_GREEN, _RED, _BLACK = (0, 120, 40), (190, 20, 20), (20, 20, 20)
_FINER, _COARSER, _OPACITY = (220, 40, 30), (40, 90, 220), 0.55
_COLOURS = {"bpg": "tab:gray", "recipe": "tab:green"}
_LABELS = {"bpg": "BPG", "recipe": "npp"}


def _pixels(image: Tensor) -> Image.Image:
    samples = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(samples).resize((_PANEL, _PANEL), Image.Resampling.NEAREST)


def _map_over(image: Tensor, qp_map: Tensor) -> Image.Image:
    """A picture under its map: red where blocks are finer, blue where they are coarser."""
    offsets = qp_map.numpy()
    parts = np.abs(offsets) / max(float(np.abs(offsets).max()), 1e-9)
    colours = np.where((offsets < 0)[..., None], _FINER, _COARSER)
    layer = np.dstack([colours, parts * _OPACITY * 255]).round().astype(np.uint8)
    large = Image.fromarray(layer).resize((_PANEL, _PANEL), Image.Resampling.NEAREST)
    return Image.alpha_composite(_pixels(image).convert("RGBA"), large).convert("RGB")


def _save(image: Image.Image, path: Path) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_file(path, buffer.getvalue(), force=True)


def draw_strip(case: StripCase, network: str, path: Path) -> None:
    """Writes the strip: the photo, BPG's picture, the map and npp's picture, each with what is to be said."""
    map_picture = _map_over(case.original, case.qp_map)
    answers = [(case.bpg, "BPG, as bpgenc writes it"), (case.npp, "npp, recipe classification")]
    colours = [_GREEN if one.same else _RED for one, _ in answers]
    bpg, npp = (
        (_pixels(one.image), [f"{name}: {one.bytes:,} bytes", f"{one.answer}"], colour)
        for (one, name), colour in zip(answers, colours, strict=True)
    )
    finest, coarsest = float(case.qp_map.min()), float(case.qp_map.max())
    offsets = f"red finer to {finest:+.1f}, blue coarser to {coarsest:+.1f}"
    panels = [
        (_pixels(case.original), ["the photo", case.answer], _BLACK),
        bpg,
        (map_picture, ["npp's map of quantiser offsets", offsets], _BLACK),
        npp,
    ]
    notes = textwrap.wrap(case.how_chosen(), _LETTERS)
    top, below = 2 * _GAP + _LINE, 2 * _LINE
    foot = top + _PANEL + below + 2 * _GAP
    width, height = 4 * (_PANEL + _GAP) + _GAP, foot + len(notes) * _LINE + _GAP
    canvas = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT)
    draw.text((_GAP, _GAP), f"{case.title(network)}", _BLACK, font)
    for i, (picture, lines, colour) in enumerate(panels):
        left = _GAP + i * (_PANEL + _GAP)
        canvas.paste(picture, (left, top))
        for row, line in enumerate(lines):
            ink = _BLACK if row == 0 else colour
            draw.text((left, top + _PANEL + 4 + row * _LINE), line, ink, font)
    for row, line in enumerate(notes):
        draw.text((_GAP, foot + row * _LINE), line, _BLACK, font)
    _save(canvas, path)


def _wilson(part: Any, count: int) -> Any:
    """The 95 % interval of a share of so many photos, as distances below and above it."""
    share, z2 = np.asarray(part, np.float64), 1.96**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = 1.96 * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return np.maximum(0, np.stack([share - (centre - half), centre + half - share]))


def _draw_beforehand(panel: Any, before: Beforehand, network: str, quality: str) -> None:
    key = f"{network}/{quality}"
    for arm, curve in (("bpg", before.anchor), ("recipe", before.arm)):
        style = {"color": _COLOURS[arm], "marker": "o", "markersize": 3}
        label = f"{_LABELS[arm]}, {before.photos} photos measured beforehand"
        values = np.asarray(curve[key])
        if quality == "agreement":
            spread = 100 * _wilson(values, before.photos)
            panel.errorbar(curve["bpp"], 100 * values, spread, capsize=2, label=label, **style)
        else:
            panel.plot(curve["bpp"], values, label=label, **style)
    interval = before.saving(network, quality)
    if quality == "kl":
        bpp = np.asarray(before.anchor["bpp"])
        sides = [bpp * (1 + percent / 100) for percent in (interval.low, interval.high)]
        panel.fill_betweenx(before.anchor[key], *sides, color=_COLOURS["recipe"], alpha=0.2, linewidth=0)
    place = {"x": 0.03, "y": 0.95 if quality == "agreement" else 0.05, "transform": panel.transAxes}
    align = "top" if quality == "agreement" else "bottom"
    panel.text(s=f"npp's bytes against BPG's at equal height:\n{interval}", va=align, fontsize=10, **place)


def _draw_own(panel: Any, found: Evaluation, network: str, quality: str, photos: int) -> None:
    for arm, colour in _COLOURS.items():
        own = found.measured.arms[arm]
        values = own.scores[network, quality].mean(axis=1) * (100 if quality == "agreement" else 1)
        label = f"{_LABELS[arm]}, the {photos} photos of this run"
        panel.plot(own.bpp.mean(axis=1), values, ":", color=colour, marker="D", mfc="white", ms=4, lw=0.8,
                   label=label)  # fmt: skip


_AXES = {
    "agreement": "same answer as on the original, % of pictures",
    "kl": "distance from the answer on the original\nKL in nats, lower is better",
}


def draw_curves(
    before: Beforehand, own: Evaluation | None, network: str, name: str, photos: int, path: Path
) -> None:
    """Writes the curves: the share of same answers on the left, the distance of the answers on the right.

    Args:
        before: what was measured beforehand.
        own: this run's measurement with the arms "bpg" and "recipe", when there is one.
        network, name: the network's label, and what to call it.
        photos: number of this run.
        path: of the PNG.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    figure = Figure(figsize=(13, 6.4), dpi=110)
    for panel, quality in zip(figure.subplots(1, 2), _AXES, strict=True):
        _draw_beforehand(panel, before, network, quality)
        if own is not None:
            _draw_own(panel, own, network, quality, photos)
        panel.set(xscale="log", xlabel="bits per pixel", ylabel=_AXES[quality])
        panel.set_yscale("log" if quality == "kl" else "linear")
        panel.xaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3]))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.grid(alpha=0.3, which="both")
        panel.legend(fontsize=8, loc="lower right" if quality == "agreement" else "upper right")
    saving = -before.saving(network, "kl").value
    figure.suptitle(f"{name} gives the same answer at {saving:.0f} % fewer bytes", fontsize=14)
    notes = (
        f"Bars and the band are 95 % intervals over the {before.photos} photos measured beforehand; the band "
        "is BPG's curve moved by npp's saving."
    )
    if own is not None:
        notes += (
            "\nDotted: this run's photos. They are others and need other rates: compare grey with green, not "
            "dotted with solid."
        )
    figure.text(0.02, 0.01, notes, fontsize=9, va="bottom")
    figure.tight_layout(rect=(0, 0.03 + 0.03 * len(notes.splitlines()), 1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_file(path, buffer.getvalue(), force=True)
