"""What decoding costs beside libavcodec's own time, for float tensors of photos of half a megapixel.

    python benchmarks/decoding.py [--program build/cpp-tests/third_party/libbpg/tests/bench_decode]
                                  [--out docs/results/decoding.json]

CPU time of npp.decode with one thread, and of libavcodec with the same file, opened once, from libbpg's
program bench_decode (`make cpp-test` builds it); medians of several runs and then over the photos.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from codec import show
from common import load_photos, machine
from result_files import program_arguments, write_report
from timing import median_seconds
from torch import Tensor

import npp

_HEIGHT, _WIDTH = 576, 864
_EFFORT = 5
_RUNS = 31


def pictures() -> list[Tensor]:
    """Kodak's photos, turned to landscape, at half a megapixel."""
    photos = (p if p.shape[1] < p.shape[2] else p.transpose(1, 2) for p in load_photos("kodak"))
    return [
        F.interpolate(p[None].float() / 255, (_HEIGHT, _WIDTH), mode="bicubic", antialias=True)[0].clamp(0, 1)
        for p in photos
    ]


def decode_seconds(file: bytes) -> float:
    """CPU time of a call, all threads of the process."""
    return median_seconds(partial(npp.decode, file, threads=1), _RUNS, clock=time.process_time, warm_up=3)


def libavcodec_ms(program: Path, file: bytes) -> float:
    """Milliseconds a megapixel of libavcodec alone."""
    with tempfile.NamedTemporaryFile(suffix=".bpg") as stored:
        stored.write(file)
        stored.flush()
        printed = subprocess.run([program, stored.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"libavcodec ([\d.]+)", printed)
    if found is None:
        raise SystemExit(f"{program}: no figure in {printed!r}")
    return float(found[1])


def rows(program: Path) -> list[dict[str, Any]]:
    """One for each qp."""
    megapixels = _HEIGHT * _WIDTH / 1e6
    photos = pictures()
    table = []
    for qp in (22, 27, 32, 37, 42):
        pairs = []
        for x in photos:
            file = npp.encode(x, qp, effort=_EFFORT)
            pairs.append((1e3 * decode_seconds(file) / megapixels, libavcodec_ms(program, file)))
        table.append(
            {
                "qp": qp,
                "decode_ms_per_mp": statistics.median(ours for ours, _ in pairs),
                "libavcodec_ms_per_mp": statistics.median(theirs for _, theirs in pairs),
                "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
            }
        )
    return table


def main() -> None:
    arguments = program_arguments(__doc__, "bench_decode", "results/decoding.json")
    torch.set_num_threads(1)
    report = {"machine": machine(), "effort": _EFFORT, "rows": rows(arguments.program)}
    show("Decoding to float32, one thread", report["rows"])
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
