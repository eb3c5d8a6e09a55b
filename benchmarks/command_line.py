"""What the command line takes to answer, CPU time of a process; docs/cli.md.

python benchmarks/command_line.py --out docs/results/command_line.json
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from common import machine
from result_files import report_parser, write_report

import npp

RUNS = 11
COMMANDS = {"npp --version": ["--version"], "npp --help": ["--help"], "npp info FILE": ["info", "FILE"]}


def cpu_seconds(arguments: list[str]) -> float:
    """Of one process, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "npp", *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = report_parser(__doc__, "results/command_line.json")
    args = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.bpg"
        file.write_bytes(npp.encode(torch.rand(3, 64, 64), 30, effort=1))
        for name, command in COMMANDS.items():
            given = [str(file) if one == "FILE" else one for one in command]
            cpu_seconds(given)
            found[name] = round(median(cpu_seconds(given) for _ in range(RUNS)), 4)
    result = {"machine": machine(), "cpu_seconds": found}
    write_report(args.out, result)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
