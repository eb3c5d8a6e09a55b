"""Tables of docs/research/filters.md from what `npp evaluate` wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tables import RESULTS, load, table


def _interval(row: dict[str, Any]) -> str:
    if row["bd_rate"] is None:
        return "–"
    value = f"{row['bd_rate']:+.1f} %"
    return value if row["low"] is None else f"{value} [{row['low']:+.1f}, {row['high']:+.1f}]"


def _network_table(found: dict[str, Any], network: str) -> list[str]:
    """A row for each arm, a column for each of the network's qualities; then seeds and paired differences."""
    rows = [row for row in found["comparisons"] if row["network"] == network]
    qualities = list(dict.fromkeys(row["quality"] for row in rows))
    arms = dict.fromkeys((row["arm"], row["against"]) for row in rows)
    lines = []
    for arm, against in arms:
        cells = {row["quality"]: row for row in rows if (row["arm"], row["against"]) == (arm, against)}
        lines.append([arm, against, *(_interval(cells[quality]) for quality in qualities)])
    head = ["arm", "against", *(f"BD-rate, {quality}" for quality in qualities)]
    notes = [
        f"{', '.join(row['arms'])} against {found['anchor']}, {row['quality']}: mean {row['mean']:+.1f} %, "
        f"standard deviation {row['deviation']:.1f} points."
        for row in found["groups"]
        if row["network"] == network
    ]
    notes += [
        f"{row['first']} minus {row['second']}, {row['quality']}: {_interval(row).replace(' %', ' points')}."
        for row in found["differences"]
        if row["network"] == network and row["bd_rate"] is not None
    ]
    return [table(head, lines, text_columns=2), *(["", " ".join(notes)] if notes else [])]


def _tables(name: str) -> str:
    """One table for each network."""
    found = load(f"{name}/summary")
    parts = [f"{found['photos']} photos, qp {', '.join(map(str, found['qps']))}."]
    for network in found["networks"]:
        took_part = "took part in training" if network["seen"] else "took no part"
        parts += ["", f"Judged by **{network['label']}**, which {took_part}:", ""]
        parts += _network_table(found, network["label"])
    return "\n".join(parts)


def section(name: str) -> Callable[[], str]:
    """What the report calls for one evaluation."""
    return lambda: _tables(name) if (RESULTS / name).exists() else "not measured yet"
