"""What the codec costs: milliseconds a megapixel per effort and thread count, and what is not x265's.

    python benchmarks/codec.py [--quick] [--out docs/results/codec.json]

Medians of several runs on one 768x512 photo and on crops of it. Everything that is compared runs in this
process, one after the other.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from common import load_photos, machine
from result_files import read_report, refuse_quick, report_parser, write_report
from rich.console import Console
from rich.table import Table
from timing import median_seconds
from torch import Tensor

import npp
from npp.codec.options import CodecOptions
from npp.codec.round_trip import RoundTrip, begin_round_trip

QP = 32


class Times(NamedTuple):
    """Milliseconds of one call of npp.compress, of all that C++ does in it, and of x265."""

    compress: float
    cpp: float
    x265: float


def timed_compress(x: Tensor, effort: int, threads: int) -> Times:
    """One call; what is within it is the sum over its threads."""
    trips: list[RoundTrip] = []

    def start(*arguments: Any, **named: Any) -> RoundTrip:
        trips.append(begin_round_trip(*arguments, **named))
        return trips[-1]

    with mock.patch.object(npp.gradient.pairing, "begin_round_trip", start):
        begin = time.perf_counter()
        npp.compress(x, QP, threads=threads, effort=effort)
        whole = time.perf_counter() - begin
    trip = trips.pop()
    return Times(1e3 * whole, 1e3 * sum(trip.seconds), 1e3 * sum(trip.hevc_seconds))


def compress_times(x: Tensor, effort: int, runs: int) -> Times:
    """The call of median overhead over C++, on one thread."""
    times = [timed_compress(x, effort, 1) for _ in range(runs + 1)]
    return sorted(times[1:], key=lambda t: t.compress - t.cpp)[runs // 2]


def effort_rows(photo: Tensor, runs: int) -> list[dict[str, Any]]:
    """Encode, round trip and decode per effort, one thread, one photo."""
    megapixels = photo.shape[1] * photo.shape[2] / 1e6
    rows = []
    for effort in range(10):
        options: CodecOptions = {"effort": effort}
        data = npp.encode(photo, QP, **options)
        times = compress_times(photo[None].float() / 255, effort, runs)
        encode = median_seconds(lambda o=options: npp.encode(photo, QP, threads=1, **o), runs)  # type: ignore[misc]
        decode = median_seconds(lambda d=data: npp.decode(d, threads=1), 4 * runs)  # type: ignore[misc]
        rows.append(
            {
                "effort": effort,
                "bpp": 8 * len(data) / (megapixels * 1e6),
                "encode_ms_per_mp": encode * 1e3 / megapixels,
                "round_trip_ms_per_mp": times.compress / megapixels,
                "x265_ms_per_mp": times.x265 / megapixels,
                "around_x265_percent": 100 * (times.compress / times.x265 - 1),
                "decode_ms_per_mp": decode * 1e3 / megapixels,
            }
        )
    return rows


def overhead_rows(photo: Tensor, runs: int) -> list[dict[str, Any]]:
    """npp.compress against what C++ does in the same calls, and against x265 alone, one thread."""
    rows = []
    for side, batch in ((64, 1), (64, 16), (224, 8), (512, 1)):
        x = photo[None, :, :side, :side].float().expand(batch, -1, -1, -1) / 255
        for effort in (1, 8):
            times = compress_times(x, effort, runs * (20 if side == 64 else 1))
            rows.append(
                {
                    "side": side,
                    "batch": batch,
                    "effort": effort,
                    "compress_ms": times.compress,
                    "cpp_ms": times.cpp,
                    "x265_ms": times.x265,
                    "percent": 100 * (times.compress / times.cpp - 1),
                    "percent_over_x265": 100 * (times.compress / times.x265 - 1),
                }
            )
    return rows


_PEAK_SCRIPT = """
import re, torch, npp
from pathlib import Path
torch.set_num_threads(1)
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
x = torch.rand({count}, 3, 512, 512)
npp.compress(x[:2, :, :64, :64], 32, effort=1, threads={threads})
start = peak()
out = npp.compress(x, 32, effort=1, threads={threads})
print(peak() - start, x.numel() * 4, out.x_hat.numel() * 4)
"""


def peak_memory(threads: int) -> dict[str, Any]:
    """Peak growth over a batch of 64 pictures of 512x512, against outputs plus live encoders.

    A live encoder is what a batch of as many pictures as threads needs beside its outputs. Inputs are
    there before the call; they are named so that the whole can be compared.
    """

    def run(count: int) -> tuple[int, int, int]:
        script = _PEAK_SCRIPT.format(count=count, threads=threads)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        growth, inputs, outputs = (int(word) for word in done.stdout.split())
        return growth, inputs, outputs

    small_growth, _, small_outputs = run(threads)
    encoders = max(0, small_growth - small_outputs)
    growth, inputs, outputs = run(64)
    mib = 1 / 2**20
    return {
        "threads": threads,
        "inputs_mib": inputs * mib,
        "outputs_mib": outputs * mib,
        "encoders_mib": encoders * mib,
        "peak_with_inputs_mib": (growth + inputs) * mib,
        "ratio": (growth + inputs) / (inputs + outputs + encoders),
    }


def training_step_rows(photo: Tensor, runs: int) -> list[dict[str, Any]]:
    """A gradient step on a batch of eight 224x224 crops, by torch threads and codec threads."""
    x = photo[None, :, :224, :224].expand(8, -1, -1, -1).float() / 255
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 3, 2, 1), torch.nn.ReLU()
    )

    def step() -> None:
        leaf = x.clone().requires_grad_()
        out = npp.compress(leaf, QP, threads=codec_threads, effort=1)
        (out.bpp.sum() + network(out.x_hat).square().mean()).backward()

    rows = []
    for torch_threads in (1, 2):
        for codec_threads in (1, 2):
            torch.set_num_threads(torch_threads)
            seconds = median_seconds(step, runs)
            rows.append(
                {"torch_threads": torch_threads, "codec_threads": codec_threads, "ms_per_step": seconds * 1e3}
            )
    torch.set_num_threads(1)
    return rows


def resident_kib() -> int:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def memory_growth(trips: int) -> dict[str, Any]:
    """Growth of the resident size over many round trips of 64x64."""
    x = torch.rand(8, 3, 64, 64)
    npp.compress(x, QP, effort=0)
    settle = trips // 10
    for _ in range(settle // 8):
        npp.compress(x, QP, effort=0)
    before = resident_kib()
    for _ in range(trips // 8):
        npp.compress(x, QP, effort=0)
    return {"round_trips": trips // 8 * 8, "growth_kib": resident_kib() - before}


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Prints rows as a table."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=150).print(table)


def main() -> None:
    parser = report_parser(__doc__, "results/codec.json")
    parser.add_argument("--quick", action="store_true", help="fewer runs, fewer round trips")
    parser.add_argument("--memory-only", action="store_true", help="measure memory, keep the rest of --out")
    arguments = parser.parse_args()
    refuse_quick(parser, arguments)
    runs = 3 if arguments.quick else 7
    torch.set_num_threads(1)
    trips = 1000 if arguments.quick else 10_000
    if arguments.memory_only:
        report = read_report(parser, arguments.out, "--memory-only")
        report |= {"peak_memory": peak_memory(2), "memory": memory_growth(trips)}
        write_report(arguments.out, report)
        return
    landscape = next(photo for photo in load_photos("kodak") if photo.shape[2] == 768)
    report = {
        "machine": machine(),
        "qp": QP,
        "runs": runs,
        "efforts": effort_rows(landscape, runs),
        "overhead": overhead_rows(landscape, runs),
        "training_step": training_step_rows(landscape, runs),
        "peak_memory": peak_memory(2),
        "memory": memory_growth(trips),
    }
    show("One 768x512 photo, one thread", report["efforts"])
    show("npp.compress around x265, one thread", report["overhead"])
    show("Gradient step, batch of 8 of 224x224, effort 1", report["training_step"])
    show("Batch of 64 of 512x512", [report["peak_memory"]])
    show("Memory over many round trips", [report["memory"]])
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
