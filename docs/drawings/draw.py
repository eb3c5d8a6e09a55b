"""The drawings of the site, made as SVG: `python docs/drawings/draw.py` writes them beside this file.

They have no styles from outside, so that they look the same on the site and in a text editor's preview.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
INK, SOFT, LINE = "#1f2933", "#52606d", "#7b8794"
BLUE, GREEN, ORANGE, GRAY, PURPLE = "#dbeafe", "#dcfce7", "#ffedd5", "#f1f5f9", "#f3e8ff"
_FONT = "font-family='Helvetica, Arial, sans-serif'"


class Drawing:
    """An SVG that is filled part by part; lengths are in pixels.

    Args:
        width, height: of the drawing.
        title: what it shows, for people who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = width, height
        self._title = title
        self._parts: list[str] = []

    def text(
        self, x: float, y: float, words: str, *, size: int = 15, colour: str = INK, bold: bool = False
    ) -> None:
        """One line, centred on x, its base line at y."""
        weight = " font-weight='bold'" if bold else ""
        self._parts.append(
            f"<text x='{x:g}' y='{y:g}' {_FONT} font-size='{size}' fill='{colour}' "
            f"text-anchor='middle'{weight}>"
            f"{escape(words)}</text>"
        )

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *lines: str, dashed: bool = False
    ) -> None:
        """A box with lines of text, the first of them bold."""
        dash = " stroke-dasharray='6 4'" if dashed else ""
        self._parts.append(
            f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='8' fill='{fill}' "
            f"stroke='{LINE}' stroke-width='1.5'{dash}/>"
        )
        top = y + height / 2 - (len(lines) - 1) * 9.5 + 5
        for number, line in enumerate(lines):
            first = number == 0
            size = 15 if first else 13
            colour = INK if first else SOFT
            self.text(x + width / 2, top + 19 * number, line, size=size, colour=colour, bold=first)

    def arrow(self, *points: tuple[float, float], colour: str = INK, dashed: bool = False) -> None:
        """A line through points, with a head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = " stroke-dasharray='6 4'" if dashed else ""
        self._parts.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2' "
            f"marker-end='url(#{_marker(colour)})'{dash}/>"
        )

    def cell(self, x: float, y: float, side: float, fill: str) -> None:
        """A small square without text."""
        self._parts.append(
            f"<rect x='{x:g}' y='{y:g}' width='{side:g}' height='{side:g}' fill='{fill}' stroke='#ffffff'/>"
        )

    def bar(self, x: float, bottom: float, width: float, height: float, fill: str) -> None:
        """A bar that stands on ``bottom``."""
        self._parts.append(
            f"<rect x='{x:g}' y='{bottom - height:g}' width='{width:g}' height='{height:g}' fill='{fill}'/>"
        )

    def svg(self) -> str:
        """The whole file."""
        width, height = self._size
        heads = "".join(_head(colour) for colour in (INK, _BACK))
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
            f"height='{height}' role='img'>\n<title>{escape(self._title)}</title>\n<defs>{heads}</defs>\n"
            f"<rect width='{width}' height='{height}' fill='#ffffff'/>\n"
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


_BACK = "#c2410c"


def _marker(colour: str) -> str:
    return "head" + colour.lstrip("#")


def _head(colour: str) -> str:
    return (
        f"<marker id='{_marker(colour)}' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' "
        f"markerHeight='7' orient='auto'><path d='M0 0 L10 5 L0 10 z' fill='{colour}'/></marker>"
    )


def overview() -> Drawing:
    """From the camera to the network behind the file."""
    d = Drawing(
        940, 300, "A photo is made smaller, filtered and given a map, then coded as BPG; any decoder opens it"
    )
    d.box(20, 90, 110, 70, GRAY, "photo", "pixels in [0, 1]")
    d.box(180, 60, 330, 130, "#ffffff", dashed=True)
    d.text(345, 50, "recipe: what belongs together for one task", size=13, colour=SOFT)
    for x, name, what in (
        (195, "size", "smaller"),
        (300, "filter", "less detail"),
        (405, "map", "bits by block"),
    ):
        d.box(x, 85, 90, 80, BLUE, name, what)
    d.box(560, 85, 120, 80, GREEN, "BPG encoder", "x265, in process")
    d.box(730, 85, 90, 80, ORANGE, ".bpg file", "fewer bits")
    for start, end in ((130, 178), (510, 558), (680, 728)):
        d.arrow((start, 125), (end, 125))
    d.arrow((775, 165), (775, 215), (700, 215))
    d.box(570, 190, 128, 50, GRAY, "any decoder")
    d.arrow((570, 215), (502, 215))
    d.box(345, 200, 155, 60, PURPLE, "your network", "sees the same things")
    note = "What is in the dashed box is chosen or trained for a network; what comes out is an ordinary file."
    d.text(470, 290, note, size=13, colour=SOFT)
    return d


def in_process() -> Drawing:
    """The usual loop through files against calls on memory."""
    d = Drawing(
        900,
        290,
        "The usual way writes three files and starts two programs; npp hands tensor memory to the codec",
    )
    d.text(450, 28, "The usual way: programs and temporary files", bold=True)
    names = ("tensor", "PNG file", "bpgenc", "BPG file", "bpgdec", "PNG file", "tensor")
    for number, name in enumerate(names):
        x = 18 + 127 * number
        d.box(x, 48, 100, 50, ORANGE if "file" in name else GRAY, name)
        if number:
            d.arrow((x - 27, 73), (x - 2, 73))
    d.text(450, 150, "npp: one call, a batch at a time, one picture on each core", bold=True)
    d.box(60, 175, 140, 80, GRAY, "batch", "(N, 3, H, W)")
    d.box(
        330,
        175,
        240,
        80,
        GREEN,
        "x265 in the same process",
        "the encoder's own reconstruction",
        "is the decoded picture",
    )
    d.box(700, 165, 150, 30, GRAY, "decoded, x_hat")
    d.box(700, 200, 150, 30, GRAY, "bits, bpp")
    d.box(700, 235, 150, 30, ORANGE, "N files as bytes")
    d.arrow((200, 215), (328, 215))
    for y in (180, 215, 250):
        d.arrow((570, 215), (698, y))
    return d


def gradient() -> Drawing:
    """Values of the real codec, gradients of a stand-in."""
    d = Drawing(
        900,
        300,
        "Values go forward through the real codec, gradients go back through a differentiable surrogate",
    )
    d.box(30, 105, 110, 70, GRAY, "x", "a batch")
    d.box(300, 40, 230, 80, GREEN, "real codec", "exact pictures, exact bits", "has no derivative")
    d.box(300, 170, 230, 80, ORANGE, "surrogate", "arithmetic on DCT coefficients", "has a derivative")
    d.box(670, 105, 190, 70, GRAY, "x_hat, bpp", "then your loss")
    d.arrow((140, 125), (298, 85))
    d.arrow((530, 85), (668, 125))
    d.arrow((670, 160), (532, 205), colour=_BACK)
    d.arrow((300, 205), (142, 160), colour=_BACK)
    d.text(225, 75, "values", size=13, colour=SOFT)
    d.text(600, 75, "values", size=13, colour=SOFT)
    d.text(605, 215, "gradient", size=13, colour=_BACK)
    d.text(215, 215, "gradient", size=13, colour=_BACK)
    d.text(
        450,
        285,
        "The bits' gradient is scaled by real bits / modelled bits, picture by picture.",
        size=13,
        colour=SOFT,
    )
    return d


_MAP = (
    (3, 3, 3, 4, 4, 4, 4, 3),
    (3, 2, 0, -1, -2, 0, 2, 3),
    (3, 1, -3, -5, -5, -2, 1, 3),
    (2, 1, -3, -6, -5, -2, 1, 2),
    (2, 1, -1, -4, -4, -1, 1, 2),
)


def _shade(offset: int) -> str:
    """Red for finer, blue for coarser."""
    strength = abs(offset) / 6
    other = round(245 - 150 * strength)
    return f"#f5{other:02x}{other:02x}" if offset < 0 else f"#{other:02x}{other:02x}f5"


def allocation() -> Drawing:
    """A quantiser offset for every block."""
    d = Drawing(
        900, 300, "Blocks that the network needs are coded finer, the others coarser; the mean offset is zero"
    )
    d.box(20, 110, 120, 70, GRAY, "photo", "and its qp")
    d.box(190, 105, 150, 80, BLUE, "allocator", "a small network, or", "the gradients")
    for row, line in enumerate(_MAP):
        for column, offset in enumerate(line):
            x, y = 400 + 36 * column, 50 + 36 * row
            d.cell(x, y, 36, _shade(offset))
            d.text(x + 18, y + 23, f"{offset:+d}" if offset else "0", size=13)
    d.text(544, 38, "offset of each 16x16 block, in qp", size=13, colour=SOFT)
    d.box(750, 105, 130, 80, GREEN, "encoder", "follows the map")
    for start, end in ((140, 188), (340, 398), (690, 748)):
        d.arrow((start, 145), (end, 145))
    note = "Negative means finer and more bits. Every BPG decoder understands it: HEVC allows it."
    d.text(450, 275, note, size=13, colour=SOFT)
    return d


def gains() -> Drawing:
    """The filter turns detail down, frequency by frequency."""
    d = Drawing(900, 280, "The filter multiplies each frequency of a block by a gain that it learned")
    before = (92, 70, 58, 44, 38, 30, 26, 20)
    kept = (1.0, 1.0, 0.98, 0.9, 0.62, 0.35, 0.2, 0.08)
    for left, name in ((40, "detail of a block, coarse to fine"), (620, "after the filter")):
        d.text(left + 120, 40, name, size=13, colour=SOFT)
        for number, height in enumerate(before):
            factor = 1.0 if left == 40 else kept[number]
            d.bar(left + 30 * number, 180, 22, height * factor, "#60a5fa")
    d.box(340, 80, 220, 90, BLUE, "gains", "one for each frequency, by", "the qp and what is around")
    d.arrow((285, 125), (338, 125))
    d.arrow((560, 125), (613, 125))
    d.text(
        450,
        225,
        "Brightness and colour of a block stay: only detail is turned down or up.",
        size=13,
        colour=SOFT,
    )
    d.text(
        450, 250, "A filter that was not trained has gains of one and changes nothing.", size=13, colour=SOFT
    )
    return d


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "overview": overview,
    "in_process": in_process,
    "gradient": gradient,
    "allocation": allocation,
    "gains": gains,
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg())


if __name__ == "__main__":
    main()
