"""Results read from docs/results, and Markdown tables of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from common import ROOT

RESULTS = ROOT / "docs/results"


def load(name: str) -> Any:
    """The JSON file of a result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def rung(effort: int) -> dict[str, Any]:
    """What was measured of an effort."""
    (row,) = (row for row in load("efforts")["rungs"] if row["effort"] == effort)
    return dict(row)


def table(head: list[str], rows: list[list[str]], text_columns: int = 1) -> str:
    """A Markdown table; columns after the first ``text_columns`` are numbers, to the right."""
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *rows])


def listed(words: list[str]) -> str:
    """Words with commas, and "and" before the last."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def span(values: Iterable[float], digits: int = 0) -> str:
    """The least and the most of some values, or both at once where they are written alike."""
    shown = sorted(values)
    least, most = f"{shown[0]:.{digits}f}", f"{shown[-1]:.{digits}f}"
    return least if least == most else f"{least} to {most}"
