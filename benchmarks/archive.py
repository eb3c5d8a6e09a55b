"""What docs/many-machines.md reckons for a hundred million photos, from the codec's speeds."""

from __future__ import annotations

from collections.abc import Callable

from tables import rung, table

# What the page assumes.
_PHOTOS = 100_000_000
_MEGAPIXELS = 2
_MEGABYTES = 1
_CORES = 1000
_DOLLARS_A_CORE_HOUR = 0.02
_BATCH = 256
_EFFORTS = (8, 3, 0)


def _core_seconds(effort: int) -> float:
    """The codec's time for a photo."""
    return float(_MEGAPIXELS * rung(effort)["one_thread_ms_per_mp"] / 1000)


def _photos_a_second(effort: int) -> float:
    return _CORES / _core_seconds(effort)


def _core_hours(effort: int) -> float:
    return _PHOTOS * _core_seconds(effort) / 3600


def _two_digits(value: float) -> str:
    """A number that is not more exact than the reckoning: 53944 gives 54,000."""
    digits = f"{value:.1e}"
    return f"{float(digits):,.0f}" if value >= 10 else f"{float(digits):g}"


def section() -> str:
    """A column for each effort."""
    rows: dict[str, Callable[[int], str]] = {
        "core-seconds a photo": lambda effort: _two_digits(_core_seconds(effort)),
        "core-hours in all": lambda effort: _two_digits(_core_hours(effort)),
        "cost of the cores": lambda effort: f"{_two_digits(_DOLLARS_A_CORE_HOUR * _core_hours(effort))} $",
        f"time on {_CORES:,} cores": lambda effort: f"{_two_digits(_core_hours(effort) / _CORES)} h",
        "photos a second": lambda effort: _two_digits(_photos_a_second(effort)),
        "read from the store": lambda effort: (
            f"{_two_digits(_MEGABYTES * _photos_a_second(effort) / 1000)} GB/s"
        ),
    }
    lines = [[name, *(cell(effort) for effort in _EFFORTS)] for name, cell in rows.items()]
    return table(["", *(f"effort {effort}" for effort in _EFFORTS)], lines)


def _batches(effort: int) -> str:
    return _two_digits(_photos_a_second(effort) / _BATCH)


FIGURES: dict[str, Callable[[], str]] = {
    "batches_effort_8": lambda: _batches(8),
    "batches_effort_0": lambda: _batches(0),
}
