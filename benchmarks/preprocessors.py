"""What filters, restorer and allocator cost: parameters, multiply-accumulates, milliseconds a megapixel.

    python benchmarks/preprocessors.py [--out docs/results/preprocessors.json] [--repeats 5]

One thread, one picture of 512x512, for the allocator also one of a camera's size, no gradient. Times are the
least CPU time of the repeats: it says what the network needs also where other processes share the machine.
benchmarks/report.py makes the table of docs/preprocessing.md and figures of other pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from common import machine
from result_files import report_parser, write_report
from torch import Tensor

from npp import Allocator, Preprocessor, Restorer

_SIDE = 512
_CAMERA = (3000, 4000)
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
def cpu_ms_per_megapixel(
    network: Callable[[Tensor], Tensor], repeats: int, size: tuple[int, int] = (_SIDE, _SIDE)
) -> float:
    """The least of several runs after a first one that does not count."""
    x = torch.rand(1, 3, *size)
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        network(x)
        times.append(time.process_time() - start)
    return 1000 * min(times[1:]) / (size[0] * size[1] / 1e6)


def cost(
    network: Preprocessor | Restorer | Allocator, call: Callable[[Tensor], Tensor], repeats: int
) -> dict[str, float]:
    """Everything about one network."""
    return {
        "parameters": network.parameter_count(),
        "macs_per_pixel": round(network.macs_per_pixel(), 1),
        "cpu_ms_per_megapixel": round(cpu_ms_per_megapixel(call, repeats), 1),
    }


def measure(repeats: int) -> dict[str, dict[str, float]]:
    """Every filter."""
    results = {}
    for name, (network, settings) in _NETWORKS.items():
        preprocessor = Preprocessor(network, **settings).eval()
        results[name] = cost(preprocessor, partial(preprocessor, qp=_QP), repeats)
        print(name, results[name], flush=True)
    return results


def main() -> None:
    """Measures, prints and writes."""
    parser = report_parser(__doc__, "results/preprocessors.json")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = {"machine": machine(), "threads": 1, "picture": [_SIDE, _SIDE], "repeats": arguments.repeats}
    report["results"] = measure(arguments.repeats)
    restorer = Restorer().eval()
    report["restorer"] = cost(restorer, restorer, arguments.repeats)
    allocator = Allocator().eval()
    look = partial(allocator, qp=_QP)
    report["allocator"] = cost(allocator, look, arguments.repeats)
    at_camera = cpu_ms_per_megapixel(look, arguments.repeats, _CAMERA)
    report["allocator"]["camera_cpu_ms_per_megapixel"] = round(at_camera, 1)
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
