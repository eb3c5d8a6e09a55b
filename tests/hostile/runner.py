"""Checks hostile files in a process of its own, with limits on its memory and CPU time; prints JSON.

PYTHONPATH=tests python -m hostile.runner --named
PYTHONPATH=tests python -m hostile.runner --families --limit 200
PYTHONPATH=tests python -m hostile.runner a.bpg b.bpg
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hostile import bases
from hostile.check import Report, check
from hostile.families import FAMILIES
from hostile.generate import FOLDER

# For the whole process; a safety net, far above what is needed.
CPU_SECONDS = 900
MEMORY_BYTES = 1 << 30  # address space above what Python and torch take
# For one file.
FILE_CPU_SECONDS = 10.0


def allowed_rss_kib(data: bytes) -> int:
    """How much resident memory a file may take at its peak: a floor, and so much for each of its bytes.

    A bit codes at most one coding tree block of 64x64, which takes 4,096 samples of luma.
    """
    return 32 * 1024 + 64 * len(data)


class _Current:
    """Says which file is being worked on, for whoever looks after a crash."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def __call__(self, name: str) -> None:
        if self._file is not None:
            os.pwrite(self._file, name.encode().ljust(200), 0)


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _checked(files: Iterable[tuple[str, bytes]], current: _Current) -> Iterator[tuple[str, Report]]:
    for name, data in files:
        current(name)
        report = check(data)
        if report.cpu_seconds > FILE_CPU_SECONDS:
            report.problems.append(f"{report.cpu_seconds:.1f} CPU seconds")
        if report.rss_kib > allowed_rss_kib(data):
            report.problems.append(f"{report.rss_kib} KiB of {len(data)} bytes")
        yield name, report


def _summary(reports: Iterable[tuple[str, Report]], must_refuse: bool) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    worst_cpu, worst_rss = (0.0, ""), (0, "")
    problems: list[str] = []
    for name, report in reports:
        counts[report.outcome] += 1
        worst_cpu = max(worst_cpu, (report.cpu_seconds, name))
        worst_rss = max(worst_rss, (report.rss_kib, name))
        if must_refuse and report.outcome != "refused":
            problems.append(f"{name}: {report.outcome}")
        problems += [f"{name}: {problem}" for problem in report.problems]
    return {
        "files": sum(counts.values()),
        "refused": counts["refused"],
        "decoded": counts["decoded"],
        "worst_cpu_seconds": round(worst_cpu[0], 4),
        "worst_cpu_file": worst_cpu[1],
        "worst_rss_kib": worst_rss[0],
        "worst_rss_file": worst_rss[1],
        "problems": problems,
    }


def _read(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    return ((path.stem, path.read_bytes()) for path in paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--named", action="store_true", help="the stored files, each by itself")
    parser.add_argument("--families", nargs="*", metavar="NAME", help="families, all or some; counts")
    parser.add_argument("--limit", type=int, help="files of each family that is not to be refused altogether")
    parser.add_argument("--current", type=Path, help="a file that names the file that is worked on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    good = bases.load()
    for data in good.values():
        assert check(data).outcome == "decoded"
    _limit()
    current = _Current(arguments.current)
    out: dict[str, Any] = {}
    paths = [*arguments.files, *(sorted(FOLDER.glob("*.bpg")) if arguments.named else [])]
    out["files"] = {name: asdict(report) for name, report in _checked(_read(paths), current)}
    if arguments.families is not None:
        chosen = {name: FAMILIES[name] for name in arguments.families or FAMILIES}
        out["families"] = {
            # What must be refused is quick to check and always checked in full.
            name: _summary(
                _checked(family.make(good, None if family.must_refuse else arguments.limit), current),
                family.must_refuse,
            )
            for name, family in chosen.items()
        }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
