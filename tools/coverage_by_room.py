"""Prints how much of each room of npp the tests run, from coverage's JSON report: what `make coverage` shows.

python tools/coverage_by_room.py build/coverage.json
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any


def by_room(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Lines that ran and all lines of each room; modules beside the rooms are counted together as "npp"."""
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for name, file in report["files"].items():
        parts = PurePath(name).parts
        below = parts[len(parts) - parts[::-1].index("npp") :]
        room = below[0] if len(below) > 1 else "npp"
        ran, lines = counts[room]
        summary = file["summary"]
        counts[room] = ran + summary["covered_lines"], lines + summary["num_statements"]
    return dict(sorted(counts.items()))


def table(counts: dict[str, tuple[int, int]]) -> str:
    """A line for each room, and one for all."""
    total = tuple(map(sum, zip(*counts.values(), strict=True)))
    rows = [*counts.items(), ("all", total)]
    lines = [f"{'room':<15}{'lines':>7}{'ran':>9}"]
    lines += [f"{room:<15}{lines:>7}{ran / max(1, lines):>9.1%}" for room, (ran, lines) in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="what coverage wrote as JSON")
    print(table(by_room(json.loads(parser.parse_args().report.read_text(encoding="utf-8")))))
