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


def recipe_rows(name: str, *, real_labels: bool = False) -> str:
    """A recipe's evaluation: a row for each judge and arm, against the anchor only.

    Single files come first; what sharing bits over the set adds has rows of its own. Real labels have
    columns of their own where they are asked for.
    """
    found = load(f"{name}/summary")
    lines = []
    for shared, part in ((False, found), (True, found.get("shared") or {"comparisons": []})):
        for network in found["networks"]:
            rows = [
                row
                for row in part["comparisons"]
                if row["network"] == network["label"]
                and row["against"] == found["anchor"]
                and (real_labels or not row["real_labels"])
            ]
            for arm in dict.fromkeys(row["arm"] for row in rows):
                cells = {row["quality"]: _interval(row) for row in rows if row["arm"] == arm}
                judge = network["label"] + ("" if network["seen"] else ", took no part")
                lines.append((shared, [judge, arm, *cells.values()], list(cells)))
    head = ["judge", "arm", *(f"BD-rate, {quality}" for quality in lines[0][2])]
    single, together = ([line for was, line, _ in lines if was is which] for which in (False, True))
    parts = [
        f"{found['photos']} photos, qp {', '.join(map(str, found['qps']))}, against BPG as bpgenc writes it.",
        "",
        table(head, single, text_columns=2),
    ]
    if together:
        parts += ["", "The same with each file's qp chosen for the set's total bits:", ""]
        parts += [table(head, together, text_columns=2)]
    return "\n".join(parts)


def map_rows(name: str) -> str:
    """What maps save on top of the arm ``codec``: a row a judge, a column for where the map comes from."""
    found = load(f"{name}/summary")
    rows, arms = [], []
    for network in found["networks"]:
        cells = {
            row["arm"]: _interval(row)
            for row in found["comparisons"]
            if (row["network"], row["against"], row["quality"]) == (network["label"], "codec", "kl")
            and row["arm"] != "bpg"
        }
        arms = list(cells)
        rows.append([network["label"] + ("" if network["seen"] else ", took no part"), *cells.values()])
    qps = ", ".join(map(str, found["qps"]))
    conditions = f"{found['photos']} photos, qp {qps}, BD-rate of kl against the same codec without a map."
    return "\n".join([conditions, "", table(["judge", *arms], rows)])


def maps(name: str) -> Callable[[], str]:
    """What the report calls for one evaluation of maps."""
    return lambda: map_rows(name) if (RESULTS / name).exists() else "not measured yet"


def recipe_headline() -> str:
    """The README's table of recipes: single files, divergence, against BPG as bpgenc writes it."""
    rows = []
    for recipe, without in (("classification", "machine"), ("detection", "half")):
        found = load(f"recipes_{recipe}/summary")
        for network in found["networks"]:
            cells = {
                row["arm"]: _interval(row)
                for row in found["comparisons"]
                if (row["network"], row["against"], row["quality"]) == (network["label"], "bpg", "kl")
            }
            judge = network["label"] + ("" if network["seen"] else ", unseen")
            rows.append([recipe, judge, cells[without], cells["recipe"]])
    return table(["recipe", "judged by", "nothing learned", "recipe"], rows, text_columns=2)


def recipes(name: str, *, real_labels: bool = False) -> Callable[[], str]:
    """What the report calls for one evaluation of a recipe."""

    def rows() -> str:
        measured = (RESULTS / name).exists()
        return recipe_rows(name, real_labels=real_labels) if measured else "not measured yet"

    return rows


def section(name: str) -> Callable[[], str]:
    """What the report calls for one evaluation."""
    return lambda: _tables(name) if (RESULTS / name).exists() else "not measured yet"


def headline() -> str:
    """The README's table: bits at equal divergence, against BPG as bpgenc writes it."""
    rows = []
    for name in ("classification", "detection"):
        found = load(f"{name}/summary")
        for network in found["networks"]:
            cells = {
                row["arm"]: _interval(row)
                for row in found["comparisons"]
                if (row["network"], row["against"], row["quality"]) == (network["label"], "bpg", "kl")
            }
            judge = f"{network['label']}{'' if network['seen'] else ', unseen'}"
            rows.append([name, judge, *(cells.get(arm, "–") for arm in ("machine", "blur", "preprocessor"))])
    head = ["weights", "judged by", "tune machine alone", "best blur", "preprocessor"]
    return table(head, rows, text_columns=2)
