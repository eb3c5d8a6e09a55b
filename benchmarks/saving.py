"""Tables of docs/results.md from what `npp evaluate` wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tables import RESULTS, load, table


def _interval(row: dict[str, Any]) -> str:
    if row["bd_rate"] is None:
        return "–"
    value = f"{row['bd_rate']:+.1f} %"
    return value if row["low"] is None else f"{value} [{row['low']:+.1f}, {row['high']:+.1f}]"


def _table(name: str) -> str:
    """A row for each arm, a column for each of the network's qualities; then the paired differences."""
    found = load(f"{name}/summary")
    rows = [row for row in found["comparisons"] if row["network"] != "picture"]
    qualities = list(dict.fromkeys(row["quality"] for row in rows))
    arms = dict.fromkeys((row["arm"], row["against"]) for row in rows)
    lines = []
    for arm, against in arms:
        cells = {row["quality"]: row for row in rows if (row["arm"], row["against"]) == (arm, against)}
        lines.append([arm, against, *(_interval(cells[quality]) for quality in qualities)])
    head = ["arm", "against", *(f"BD-rate, {quality}" for quality in qualities)]
    notes = [
        f"{row['first']} minus {row['second']}, {row['quality']}: {_interval(row).replace(' %', ' points')}."
        for row in found["differences"]
        if row["network"] != "picture" and row["bd_rate"] is not None
    ]
    qps = ", ".join(map(str, found["qps"]))
    return "\n".join(
        [table(head, lines, text_columns=2), "", f"{found['photos']} photos, qp {qps}. " + " ".join(notes)]
    )


def section(name: str) -> Callable[[], str]:
    """What the report calls for one evaluation."""
    return lambda: _table(name) if (RESULTS / name).exists() else "not measured yet"
