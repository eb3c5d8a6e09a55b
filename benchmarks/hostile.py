"""Hostile files and leaks: what becomes of all of them, the worst CPU time and memory; writes JSON.

    python benchmarks/hostile.py --out docs/results/hostile.json

The files, the limits and the calls are those of the tests (tests/hostile); here every family runs in full.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from result_files import report_parser, write_report

import npp

TESTS = Path(__file__).resolve().parents[1] / "tests"
MIXED_CALLS = 10_000


def _run(module: str, *arguments: str) -> Any:
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(result.stdout)


def _named(reports: dict[str, Any]) -> dict[str, Any]:
    """The named files as one family."""
    outcomes = Counter(report["outcome"] for report in reports.values())
    slowest = max(reports, key=lambda name: reports[name]["cpu_seconds"])
    largest = max(reports, key=lambda name: reports[name]["rss_kib"])
    return {
        "files": len(reports),
        "refused": outcomes["refused"],
        "decoded": outcomes["decoded"],
        "worst_cpu_seconds": round(reports[slowest]["cpu_seconds"], 4),
        "worst_cpu_file": slowest,
        "worst_rss_kib": reports[largest]["rss_kib"],
        "worst_rss_file": largest,
        "problems": [problem for report in reports.values() for problem in report["problems"]],
    }


def main() -> None:
    parser = report_parser(__doc__, "results/hostile.json")
    out = parser.parse_args().out
    found = _run("hostile.runner", "--named", "--families")
    families = {"named files": _named(found["files"]), **found["families"]}
    growth = _run("hostile.leaks", str(MIXED_CALLS))
    config = npp.build_config()
    report = {
        "versions": {name: value for name, value in config.items() if "version" in name},
        "families": families,
        "mixed_calls": {"calls": MIXED_CALLS, "rss_growth_kib": growth},
    }
    write_report(out, report)
    print("| family | files | refused | decoded | worst CPU | worst memory |\n|---|---|---|---|---|---|")
    for name, row in families.items():
        print(
            f"| {name} | {row['files']:,} | {row['refused']:,} | {row['decoded']:,} | "
            f"{row['worst_cpu_seconds']:.3f} s | {row['worst_rss_kib'] / 1024:.1f} MiB |"
        )
        assert row["problems"] == [], row["problems"]
    print(f"\n{MIXED_CALLS:,} mixed calls: resident memory grew by {growth / 1024:.1f} MiB")


if __name__ == "__main__":
    main()
