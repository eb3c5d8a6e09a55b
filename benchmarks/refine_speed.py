"""What npp.refine takes: the first call of a process and the next one, CPU time; docs/performance.md.

    python benchmarks/refine_speed.py --out docs/results/refine_speed.json

One photo of 224x224, twelve steps, files at effort 8, EfficientNet-Lite0 as the task, once with npp.VIEWS.
Every run is a process of its own. PYTHONPATH of another version's package measures that one: --name says
what it is, and what was stored under other names stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median

from common import machine
from result_files import report_parser, write_report

RUNS = 5


def _once(views: bool) -> None:
    """In a process of its own: seconds of two calls, and what was found."""
    import time

    import torch
    from gradients import Divergence
    from refine import photo_paths, photos

    import npp

    torch.set_num_threads(1)
    x = photos(photo_paths(8)[:1], 224)
    network = Divergence(x)
    task = npp.keep_prediction(network.log_probabilities, x, npp.VIEWS if views else ())
    npp.compress(x, 34, threads=1)  # what every use of npp loads
    times = []
    for _ in range(2):
        start = time.process_time()
        found = npp.refine(x, 34, task, steps=12, threads=1)
        times.append(time.process_time() - start)
    objective = min(float(step.objective) for step in found.history)
    print(json.dumps([*times, objective, len(found.bitstreams[0])]))


def measure(views: bool) -> dict[str, float]:
    """Medians over processes."""
    command = [sys.executable, __file__, "--once", str(int(views))]
    found = []
    for _ in range(RUNS):
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found.append(json.loads(out.splitlines()[-1]))
    first, later, objective, size = (median(column) for column in zip(*found, strict=True))
    return {
        "first_call_s": round(first, 3),
        "next_call_s": round(later, 3),
        "objective": round(objective, 5),
        "bytes": size,
    }


def main() -> None:
    parser = report_parser(__doc__, "results/refine_speed.json")
    parser.add_argument("--name", default="now")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once is not None:
        _once(bool(args.once))
        return
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    found[args.name] = {"machine": machine(), "plain": measure(False), "views": measure(True)}
    write_report(args.out, found)
    print(json.dumps(found[args.name], indent=1))


if __name__ == "__main__":
    main()
