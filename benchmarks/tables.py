"""Results read from docs/results, and Markdown tables of them."""

from __future__ import annotations

import json
from typing import Any

from common import ROOT

RESULTS = ROOT / "docs/results"


def load(name: str) -> Any:
    """The JSON file of a result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def table(head: list[str], rows: list[list[str]], text_columns: int = 1) -> str:
    """A Markdown table; columns after the first ``text_columns`` are numbers, to the right."""
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *rows])
