"""The effort ladder: rate-distortion and time of every rung, against bpgenc.

    python benchmarks/efforts.py [--out docs/results/efforts.json] [--search build/search-psnr.jsonl]

On the eight Kodak photos and six qps: BD-rate (PSNR-Y, and RGB) against bpgenc's level 8 as recorded in
../shared/reference, wall milliseconds a megapixel on one thread and on two, and the speed-up over the
usual loop through temporary files, which takes turns with them. That loop is timed here with bpgenc and
bpgdec where they are on PATH, else with x265's own program and libde265's decoder in their places (Debian's
packages x265 and libde265-examples); where these are missing too, the 1600 ms/MP on two cores that the
project's issue states are used. The report says which.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from bjontegaard import bd_rate
from common import SHARED, load_photos, machine, psnr_rgb, psnr_y
from result_files import DOCS, read_report, report_parser, write_report
from temp_files import usual_loop
from torch import Tensor

import npp
from npp.codec.options import CodecOptions
from npp.codec.round_trip import start_round_trip

_QPS = (22, 27, 32, 37, 42, 47)
_TIMED_QPS = (27, 37)
_LEAST_SECONDS = 1.0
_STATED_LOOP_MS_PER_MP = 1600.0
_NO_LOOP = "stated in the project's issue; neither the BPG tools nor stand-ins are installed here"


def reference_curves() -> list[dict[str, list[float]]]:
    """bpgenc level 8 per photo, in the order of ``load_photos``."""
    entries = json.loads((SHARED / "reference/bpgenc_kodak.json").read_text())
    curves = []
    for name in sorted({entry["image"] for entry in entries}):
        points = sorted((e for e in entries if e["image"] == name and e["level"] == 8), key=lambda e: e["qp"])
        curves.append({key: [p[key] for p in points] for key in ("bytes", "psnr_y", "psnr_rgb")})
    return curves


def bd_rates(photos: list[Tensor], options: CodecOptions) -> tuple[float, float]:
    """Mean BD-rate on PSNR-Y and PSNR-RGB against bpgenc's level 8."""
    luma, rgb = [], []
    for photo, reference in zip(photos, reference_curves(), strict=True):
        x_hat, _, files = start_round_trip(
            photo[None].expand(len(_QPS), -1, -1, -1), list(_QPS), options
        ).result()
        sizes = [len(file) for file in files]
        for values, metric, key in ((luma, psnr_y, "psnr_y"), (rgb, psnr_rgb, "psnr_rgb")):
            quality = [metric(photo, picture) for picture in x_hat]
            values.append(bd_rate(reference["bytes"], reference[key], sizes, quality, method="pchip"))
    return float(np.mean(luma)), float(np.mean(rgb))


class Times(NamedTuple):
    """Medians: milliseconds a megapixel on one thread, on two and of the usual loop, and the speed-up."""

    one: float
    two: float
    loop: float
    speed_up: float


def _seconds(work: Callable[[], object]) -> float:
    """Median wall time of as many calls as fill a second, for a single one of a fast rung is mostly noise."""
    times: list[float] = []
    while sum(times) < _LEAST_SECONDS:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def timings(photos: list[Tensor], options: CodecOptions, runs: int, loop: Callable[[], float]) -> Times:
    """One thread, two threads and the loop in turns; the speed-up is the median of the turns' own."""
    x = torch.stack([photo if photo.shape[1] < photo.shape[2] else photo.transpose(1, 2) for photo in photos])
    x = x.repeat(len(_TIMED_QPS), 1, 1, 1)
    qps = [qp for qp in _TIMED_QPS for _ in photos]
    megapixels = x.shape[0] * x.shape[2] * x.shape[3] / 1e6
    turns: list[Times] = []
    for _ in range(runs):
        beside = loop()
        one, two = (
            _seconds(partial(npp.compress, x, qps, threads=threads, **options)) * 1e3 / megapixels
            for threads in (1, 2)
        )
        turns.append(Times(one, two, beside, beside / two))
    return Times(*(statistics.median(column) for column in zip(*turns, strict=True)))


def chart(rows: list[dict[str, Any]], search: list[dict[str, Any]], path: Path) -> None:
    """BD-rate over time: every tried setting, and the rungs."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    top = rows[8]
    if search:
        axes.scatter(
            [line["time_ratio"] for line in search], [line["bd_rate"] + top["bd_rate_y"] for line in search],
            s=14, color="0.7", label="tried settings (search pictures)",
        )  # fmt: skip
    ratios = [row["one_thread_ms_per_mp"] / top["one_thread_ms_per_mp"] for row in rows]
    axes.plot(ratios, [row["bd_rate_y"] for row in rows], "o-", label="effort 0 to 9 (Kodak)")
    for row, ratio in zip(rows, ratios, strict=True):
        axes.annotate(
            str(row["effort"]), (ratio, row["bd_rate_y"]), xytext=(4, 4), textcoords="offset points"
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="time, effort 8 = 1", ylabel="BD-rate (PSNR-Y) against bpgenc level 8, %")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def rung(effort: int, rates: tuple[float, float], times: Times) -> dict[str, Any]:
    """A row of the ladder, which is printed as well."""
    luma, rgb = rates
    print(
        f"effort {effort}  BD-rate Y {luma:+6.2f} %  RGB {rgb:+6.2f} %  1 thread {times.one:6.0f} ms/MP, "
        f"2 {times.two:6.0f}  {times.speed_up:5.1f}x",
        flush=True,
    )
    return {
        "effort": effort,
        "bd_rate_y": luma,
        "bd_rate_rgb": rgb,
        "one_thread_ms_per_mp": times.one,
        "two_threads_ms_per_mp": times.two,
        "scaling": times.one / times.two,
        "speed_up_over_temp_files": times.speed_up,
    }


def main() -> None:
    parser = report_parser(__doc__, "results/efforts.json")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--timings", action="store_true", help="keep the BD-rates of --out, only time again")
    parser.add_argument(
        "--search",
        type=Path,
        default=DOCS / "results/effort_search_psnr.jsonl",
        help="lines of effort_search.py, for the chart",
    )
    arguments = parser.parse_args()
    known = read_report(parser, arguments.out, "--timings")["rungs"] if arguments.timings else None
    lines = arguments.search.read_text().splitlines()
    torch.set_num_threads(1)
    photos = load_photos("kodak")
    first = usual_loop(photos[:1], _TIMED_QPS, 1)
    loop_source = first[1] if first else _NO_LOOP
    loop = (lambda: usual_loop(photos, _TIMED_QPS, 1)[0]) if first else (lambda: _STATED_LOOP_MS_PER_MP)
    rows, loops = [], []
    for effort in range(10):
        options: CodecOptions = {"effort": effort}
        rates = (
            (known[effort]["bd_rate_y"], known[effort]["bd_rate_rgb"]) if known else bd_rates(photos, options)
        )
        times = timings(photos, options, arguments.runs, loop)
        loops.append(times.loop)
        rows.append(rung(effort, rates, times))
    report = {
        "machine": machine(),
        "loop_ms_per_mp": statistics.median(loops),
        "loop_source": loop_source,
        "rungs": rows,
    }
    write_report(arguments.out, report)
    chart(rows, [json.loads(line) for line in lines], arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
