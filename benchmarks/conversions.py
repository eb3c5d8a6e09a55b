"""What the colour conversions cost: tensor memory to the codec's planes, and back.

    python benchmarks/conversions.py [--program build/cpp-tests/third_party/libbpg/tests/bench_color]
        [--out docs/results/conversions.json]

Runs the C++ program that ``make cpp-test`` builds: one 768x512 picture, one thread, median of 101 runs.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from common import machine
from result_files import program_arguments, write_report

_LINE = re.compile(r"(?P<picture>.+?) +(?P<image>f32 CHW|u8 HWC) +(?P<in>[\d.]+) +(?P<out>[\d.]+)")


def measure(program: Path) -> list[dict[str, str | float]]:
    """CPU milliseconds a megapixel of each kind of picture and of image."""
    found = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    lines = [match for match in map(_LINE.fullmatch, found.splitlines()) if match]
    if not lines:
        raise SystemExit(f"{program} printed no figures:\n{found}")
    return [
        {
            "picture": line["picture"],
            "image": line["image"],
            "import_ms_per_mp": float(line["in"]),
            "export_ms_per_mp": float(line["out"]),
        }
        for line in lines
    ]


def main() -> None:
    arguments = program_arguments(__doc__, "bench_color", "results/conversions.json")
    rows = measure(arguments.program)
    for row in rows:
        print("  ".join(str(value) for value in row.values()))
    write_report(arguments.out, {"machine": machine(), "conversions": rows})


if __name__ == "__main__":
    main()
