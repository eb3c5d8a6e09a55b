"""What a recipe takes while other programs keep the cores busy, by how torch's threads wait for each other.

    python benchmarks/busy_machine.py [--files 8] [--busy 2] [--out docs/results/busy_machine.json]

Each way runs in a process of its own, for the waiting is chosen when torch is loaded. The photos are noise of
224x224 pixels, encoded with the recipe "classification", beside as many busy processes as there are cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

from common import machine
from result_files import report_parser, write_report

WAYS = {
    "as torch has it": {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
_WORK = """
import sys, time
import torch, npp
recipe, files = npp.Recipe.load("classification"), int(sys.argv[1])
photos = torch.rand(files, 3, 224, 224)
recipe.encode(photos[0], 37)
clock, processor = time.perf_counter(), time.process_time()
recipe.encode(photos, 37)
print(time.perf_counter() - clock, time.process_time() - processor)
"""


def seconds(way: dict[str, str], files: int) -> tuple[float, float]:
    """Seconds of the clock and of the processor for so many files, in a process with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, "-c", _WORK, str(files)]
    done = subprocess.run(command, env={**kept, **way}, capture_output=True, text=True, check=True)
    clock, processor = map(float, done.stdout.split())
    return clock, processor


def main() -> None:
    parser = report_parser(__doc__, "results/busy_machine.json")
    parser.add_argument("--files", type=int, default=8, help="that are encoded")
    parser.add_argument("--busy", type=int, default=os.cpu_count(), help="processes that do nothing else")
    options = parser.parse_args()
    rows = []
    with ExitStack() as stack:
        for _ in range(options.busy):
            other = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(other.kill)
        for name, way in WAYS.items():
            clock, processor = seconds(way, options.files)
            print(f"{name}: {clock:.1f} s, {processor:.1f} s of the processor", flush=True)
            rows.append({"way": name, "seconds": clock, "cpu_seconds": processor})
    write_report(
        options.out, {"machine": machine(), "files": options.files, "busy": options.busy, "rows": rows}
    )


if __name__ == "__main__":
    main()
