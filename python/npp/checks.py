"""Checks of numbers that callers give; every message names the setting, the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number from low to high, ends included."""
    if not is_int(value) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")
    return int(value)


def number(name: str, value: object, low: float, high: float) -> float:
    """A finite number from low to high, ends included."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value


def table(name: str, value: object, low: float, high: float) -> dict[float, float]:
    """A mapping of qp to numbers from low to high, sorted by qp. Keys may be strings, as in JSON."""
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{name} must be a mapping of qp to numbers, not {value!r}")
    entries: dict[float, float] = {}
    for key, entry in value.items():
        try:
            qp = math.nan if isinstance(key, bool) else float(key)
        except (TypeError, ValueError):
            qp = math.nan
        entries[number(f"a qp in {name}", qp if math.isfinite(qp) else key, 0, 51)] = number(
            f"{name}[{key!r}]", entry, low, high
        )
    return dict(sorted(entries.items()))


def is_int(value: object) -> bool:
    """Whether a value is an integer in earnest: not a bool, numpy's integers included."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def at_least(owner: object, low: float, *names: str) -> None:
    """Attributes of an object that must be finite numbers from low on; ``None`` stands for not given."""
    for name in names:
        value = getattr(owner, name)
        if value is not None and not low <= value < math.inf:
            raise ValueError(f"{name} must be at least {low:g}, not {value!r}")


def above(owner: object, low: float, *names: str) -> None:
    """Attributes of an object that must be finite numbers above low."""
    for name in names:
        value = getattr(owner, name)
        if not low < value < math.inf:
            raise ValueError(f"{name} must be above {low:g}, not {value!r}")


def qps(name: str, values: Collection[int], fewest: int = 1) -> tuple[int, ...]:
    """The different ones of some qps, rising; at least so many from 0 to 51."""
    found = tuple(sorted(set(values)))
    for qp in found:
        if not 0 <= qp <= 51:
            raise ValueError(f"{name} must be from 0 to 51, not {qp}")
    if len(found) < fewest:
        raise ValueError(f"{name} must be at least {fewest} different ones, not {list(values)}")
    return found
