"""Batches of 64 training crops: in the main process on one and two threads, and in workers of a DataLoader.

    python benchmarks/crops.py [--quick] [--out docs/results/crops.json]

Images a second through encoder and decoder at effort 1, medians of several runs, beside what x265 alone takes
in the same calls. The workers code crop by crop, as a transform of a dataset does, or batch by batch in the
loader's ``collate_fn``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
from codec import QP, Times, show, timed_compress
from common import load_photos, machine
from result_files import refuse_quick, report_parser, write_report
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import npp

_EFFORT = 1
_BATCH = 64
_LOADED = 8  # batches of an epoch


def crops_of(photos: list[Tensor], side: int) -> Tensor:
    """(64, 3, side, side) floats in [0, 1], eight from each of eight photos."""
    found = []
    for photo, row, column in product(photos, range(2), range(4)):
        top = row * (photo.shape[1] - side)
        left = column * (photo.shape[2] - side) // 3
        found.append(photo[:, top : top + side, left : left + side])
    return torch.stack(found).float() / 255


def one_a_call(x: Tensor, *, reopened: bool = False) -> float:
    """Seconds of the first crop by itself; an encoder is there from the call before, or opened anew."""
    if reopened:
        npp.clear_encoder_cache()
    return timed_compress(x[:1], _EFFORT, 1).compress / 1e3


class Crops(Dataset[Tensor]):
    """The crops over and over, as many as an epoch has; coded one by one, or as they are."""

    def __init__(self, x: Tensor, *, coded: bool) -> None:
        self._x, self._coded = x, coded

    def __len__(self) -> int:
        return _LOADED * _BATCH

    def __getitem__(self, index: int) -> Tensor:
        x = self._x[index % _BATCH]
        if not self._coded:
            return x
        return npp.compress(x[None], QP, threads=1, effort=_EFFORT).x_hat[0]


def coded_together(crops: list[Tensor]) -> Tensor:
    """A ``collate_fn`` that codes the whole batch."""
    return npp.compress(torch.stack(crops), QP, threads=1, effort=_EFFORT).x_hat


def epochs(x: Tensor, workers: int, *, together: bool) -> Iterator[float]:
    """Seconds of one epoch after the other; the first starts the workers."""
    loader = DataLoader(
        Crops(x, coded=not together),
        _BATCH,
        num_workers=workers,
        persistent_workers=True,
        collate_fn=coded_together if together else None,
    )
    while True:
        start = time.perf_counter()
        for _ in loader:
            pass
        yield time.perf_counter() - start


def loaded(x: Tensor, workers: int, runs: int, *, together: bool) -> float:
    """Images a second out of a DataLoader."""
    seconds = epochs(x, workers, together=together)
    next(seconds)
    return _LOADED * _BATCH / statistics.median(next(seconds) for _ in range(runs))


def row(photos: list[Tensor], side: int, runs: int) -> dict[str, Any]:
    """All that is measured of crops of one size; what is compared takes turns."""
    x = crops_of(photos, side)
    measures: dict[str, Callable[[], float]] = {
        "two_threads": lambda: timed_compress(x, _EFFORT, 2).compress / 1e3,
        "one_a_call": lambda: _BATCH * one_a_call(x),
        "one_a_call_reopened": lambda: _BATCH * one_a_call(x, reopened=True),
    }
    for measure in measures.values():
        measure()
    one: list[Times] = []
    others: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(runs):
        # What the last measure closed is open again, as it is between the batches of a training loop.
        timed_compress(x, _EFFORT, 2)
        one.append(timed_compress(x, _EFFORT, 1))
        for name, measure in measures.items():
            others[name].append(measure())
    return {
        "side": side,
        "x265": 1e3 * _BATCH / statistics.median(c.x265 for c in one),
        "one_thread": 1e3 * _BATCH / statistics.median(c.compress for c in one),
        "over_x265_percent": 100 * (statistics.median(c.compress / c.x265 for c in one) - 1),
        **{name: _BATCH / statistics.median(times) for name, times in others.items()},
        **{
            f"{workers}_workers_{'together' if together else 'one_by_one'}": loaded(
                x, workers, max(2, runs // 2), together=together
            )
            for workers, together in product((1, 2), (False, True))
        },
    }


def main() -> None:
    parser = report_parser(__doc__, "results/crops.json")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    arguments = parser.parse_args()
    refuse_quick(parser, arguments)
    torch.set_num_threads(1)
    photos = load_photos("kodak")
    runs = 4 if arguments.quick else 15
    report = {
        "machine": machine(),
        "qp": QP,
        "effort": _EFFORT,
        "batch": _BATCH,
        "runs": runs,
        "rows": [row(photos, side, runs) for side in (64, 128, 224)],
    }
    show("Batches of 64 crops, images a second", report["rows"])
    write_report(arguments.out, report)


if __name__ == "__main__":
    main()
