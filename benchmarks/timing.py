"""How long a call takes: the median of several, as all benchmarks here take it."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from statistics import median


def median_seconds(
    work: Callable[[], object],
    runs: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: int = 1,
) -> float:
    """Median seconds of a call: of wall time, or of ``time.process_time`` where the machine is shared."""
    return median(timeit.repeat(work, timer=clock, number=1, repeat=warm_up + runs)[warm_up:])
