"""Cells of tables that compare arms."""

from __future__ import annotations

import math
from typing import Literal

from typing_extensions import Self

from npp.evaluation.analysis import Comparison
from npp.evaluation.bd_rate_bootstrap import BDInterval

Verdict = Literal["less", "more", "none", ""]


class Cell(str):
    """The text of a cell.

    Attributes:
        verdict: ``"less"`` or ``"more"`` bits if the interval excludes zero, ``"none"`` if there is nothing
            to compare, else empty.
    """

    __slots__ = ("verdict",)
    verdict: Verdict

    def __new__(cls, text: str, verdict: Verdict = "") -> Self:
        cell = super().__new__(cls, text)
        cell.verdict = verdict
        return cell


def interval_cell(interval: BDInterval | None, problem: str | None = None, unit: str = " %") -> Cell:
    """A BD-rate, or a difference of two, with its interval; the problem if there is none."""
    if interval is None:
        return Cell(f"none: {problem}", "none")
    if math.isnan(interval.low):
        return Cell(f"{interval.value:+.1f}{unit}")
    verdict: Verdict = ""
    if interval.excludes_zero:
        verdict = "less" if interval.high < 0 else "more"
    return Cell(str(interval).replace(" %", unit), verdict)


def comparison_cell(one: Comparison) -> Cell:
    """A BD-rate with its interval, and the overlap of the curves if it is below nine tenths."""
    cell = interval_cell(one.interval, one.problem)
    if one.overlap >= 0.9 or one.interval is None:
        return cell
    return Cell(f"{cell}, overlap {one.overlap:.2f}", cell.verdict)
