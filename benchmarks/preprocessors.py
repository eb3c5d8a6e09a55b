"""What the preprocessor's networks cost: parameters, multiply-accumulates a pixel, milliseconds a megapixel.

    python benchmarks/preprocessors.py [--out docs/results/preprocessors.json] [--repeats 5]

One thread, one picture of 512x512, no gradient. Times are the least CPU time of the repeats: it says what the
network needs also where other processes share the machine. benchmarks/report.py makes the
table of docs/preprocessing.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from common import ROOT, machine

from npp import Preprocessor

_SIDE = 512
_QP = 34
_NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "gains": ("gains", {}),
    "gains, width 24, depth 4": ("gains", {"width": 24, "depth": 4}),
    "gains, width 128": ("gains", {"width": 128}),
    "gains, luma_only": ("gains", {"luma_only": True}),
    "gains, depth 0": ("gains", {"depth": 0}),
    "unet": ("unet", {}),
    "unet-adaptive": ("unet-adaptive", {}),
    "blur, sigma 0.5": ("blur", {"sigmas": {_QP: 0.5}}),
}


@torch.inference_mode()
def cpu_ms_per_megapixel(preprocessor: Preprocessor, repeats: int) -> float:
    """The least of several runs after a first one that does not count."""
    x = torch.rand(1, 3, _SIDE, _SIDE)
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        preprocessor(x, _QP)
        times.append(time.process_time() - start)
    return 1000 * min(times[1:]) / (_SIDE * _SIDE / 1e6)


def measure(repeats: int) -> dict[str, dict[str, float]]:
    """Everything about every network."""
    results = {}
    for name, (network, settings) in _NETWORKS.items():
        preprocessor = Preprocessor(network, **settings).eval()
        results[name] = {
            "parameters": preprocessor.parameter_count(),
            "macs_per_pixel": round(preprocessor.macs_per_pixel(), 1),
            "cpu_ms_per_megapixel": round(cpu_ms_per_megapixel(preprocessor, repeats), 1),
        }
        print(name, results[name], flush=True)
    return results


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "preprocessors.json")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = {"machine": machine(), "threads": 1, "picture": [_SIDE, _SIDE], "repeats": arguments.repeats}
    report["results"] = measure(arguments.repeats)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
