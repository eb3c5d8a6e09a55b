"""Checks of numbers: what is not finite is no number that a setting may have."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from npp import checks

NO_NUMBERS = [math.nan, math.inf, -math.inf, 10**400, True, "2", 2j, [2]]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: str(value)[:9])
@pytest.mark.parametrize("low", [-math.inf, -5, 1])
def test_what_is_not_finite_is_neither_at_least_nor_above_anything(value: Any, low: float) -> None:
    owner = SimpleNamespace(first=7, second=value)
    from_low, above = (f" from {low:g} on", f" above {low:g}") if math.isfinite(low) else ("", "")
    with pytest.raises(ValueError, match=f"^second must be a finite number{from_low}, not "):
        checks.at_least(owner, low, "first", "second")
    with pytest.raises(ValueError, match=r"^second must be a finite number above 0, not "):
        checks.positive(owner, "first", "second")
    with pytest.raises(ValueError, match=f"^second must be a finite number{above}, not "):
        checks.number_above("second", value, low)
    with pytest.raises(ValueError, match=f"^second must be a finite number{from_low}, not "):
        checks.number("second", value, low, math.inf)


def test_the_end_is_at_least_itself_and_not_above_itself() -> None:
    owner = SimpleNamespace(first=1, second=1.5, third=0.9999, none=None)
    checks.at_least(owner, 1, "first", "second", "none")
    with pytest.raises(ValueError, match=r"^third must be at least 1, not 0\.9999$"):
        checks.at_least(owner, 1, "first", "third")
    owner.nothing = 0
    checks.positive(owner, "first", "second", "third")
    with pytest.raises(ValueError, match=r"^nothing must be above 0, not 0$"):
        checks.positive(owner, "second", "nothing")
    with pytest.raises(ValueError, match=r"^none must be a finite number above 0, not None$"):
        checks.positive(owner, "none")
    assert checks.number_above("first", 1, 0.5) == 1.0
