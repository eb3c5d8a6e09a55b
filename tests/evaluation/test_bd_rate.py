"""BD-rate against the bjontegaard package, and its properties."""

from __future__ import annotations

from typing import Any

import bjontegaard
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npp.evaluation import bd_rate, monotone, overlap
from npp.evaluation.bd_rate import rising_points


def _curve(draw: st.DrawFn, points: int) -> tuple[np.ndarray, np.ndarray]:
    steps = st.lists(st.floats(0.05, 2.0), min_size=points, max_size=points)
    return np.exp(np.cumsum(draw(steps))), 20 + np.cumsum(draw(steps))


@st.composite
def _curves(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    return (*_curve(draw, draw(st.integers(2, 8))), *_curve(draw, draw(st.integers(2, 8))))


@settings(max_examples=200, deadline=None)
@given(_curves())
def test_agrees_with_the_bjontegaard_package(curves: tuple[np.ndarray, ...]) -> None:
    r0, q0, r1, q1 = curves
    if min(q0[-1], q1[-1]) - max(q0[0], q1[0]) < 1e-3:
        return
    theirs = bjontegaard.bd_rate(r0, q0, r1, q1, method="pchip", require_matching_points=False, min_overlap=0)
    assert bd_rate(r0, q0, r1, q1) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_a_curve_moved_in_rate_gives_that_factor() -> None:
    rate, quality = np.array([0.1, 0.2, 0.5, 1.1]), np.array([30.0, 33.0, 36.5, 40.0])
    assert bd_rate(rate, quality, 0.8 * rate, quality) == pytest.approx(-20)
    assert bd_rate(rate, quality, rate, quality) == pytest.approx(0, abs=1e-9)
    assert bd_rate(rate[::-1], quality[::-1], 1.1 * rate, quality) == pytest.approx(10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1], [1], [1, 2], [1, 2]), "anchor.*at least 2"),
        (([1, 2], [1, 2], [0, 2], [1, 2]), "compared.*positive"),
        (([1, 2], [1, 1], [1, 2], [1, 2]), "anchor.*differ"),
        (([1, 2], [1, 2], [1, 2], [3, 4]), "do not overlap"),
        (([1, 2], [1, np.nan], [1, 2], [3, 4]), "anchor.*finite"),
    ],
)
def test_bad_curves_are_refused(arguments: tuple[list[float], ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bd_rate(*arguments)


def test_rising_points_leave_out_what_is_no_number() -> None:
    rates, qualities = rising_points(np.array([1.0, 2.0, 3.0, 4.0]), np.array([np.nan, 1.0, 0.5, 2.0]))
    assert rates.tolist() == [2.0, 4.0] and qualities.tolist() == [1.0, 2.0]


def test_monotone_drops_points_that_cost_more_for_nothing() -> None:
    rate, quality = monotone([0.1, 0.2, 0.3, 0.4], [0.5, 0.7, 0.65, 0.8])
    assert rate.tolist() == [0.1, 0.2, 0.4] and quality.tolist() == [0.5, 0.7, 0.8]


@pytest.mark.parametrize(
    ("rate", "quality", "words"),
    [
        (
            [0.1, 0.2, 0.3],
            [0.5, 0.7],
            r"rate and quality must be two equally long lists, .*\(3,\) and \(2,\)",
        ),
        ([0.1, 0.2], [0.5, np.nan], "quality must be finite"),
        ([0.1, np.inf], [0.5, 0.7], "rate must be finite"),
        ([[0.1, 0.2]], [[0.5, 0.7]], "two equally long lists"),
    ],
)
def test_monotone_drops_nothing_in_silence(rate: list[float], quality: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        monotone(rate, quality)


def test_overlap_is_a_share_of_the_joint_range() -> None:
    assert overlap([0, 10], [5, 15]) == pytest.approx(1 / 3)
    assert overlap([0, 1], [2, 3]) == 0
    assert overlap([3], [3]) == 0  # no range at all


@pytest.mark.parametrize("wrong", [[], [1.0, np.nan], [[1.0]], 5, "a", ["a"], None])
def test_overlap_needs_finite_numbers(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^anchor_quality must be a list of"):
        overlap(wrong, [1, 2])
    with pytest.raises(ValueError, match=r"^quality must be a list of"):
        overlap([1, 2], wrong)


def test_curves_are_of_numbers() -> None:
    with pytest.raises(ValueError, match=r"^compared: rate must be a list of numbers, not \['a', 2\]"):
        bd_rate([1, 2], [1, 2], ["a", 2], [1, 2])


def test_of_points_of_one_quality_the_cheapest_is_kept() -> None:
    rates, qualities = monotone([1, 2], [0.5, 0.5])
    assert (rates.tolist(), qualities.tolist()) == ([1], [0.5])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]])
def test_of_points_of_one_rate_the_best_is_kept_in_any_order(order: list[int]) -> None:
    points = np.array([(1.0, 0.5), (1.0, 0.7), (2.0, 0.9), (2.0, 0.6)])[order]
    rates, qualities = monotone(points[:, 0], points[:, 1])
    assert (rates.tolist(), qualities.tolist()) == ([1.0, 2.0], [0.7, 0.9])


def test_curves_that_share_one_quality_alone_do_not_overlap() -> None:
    with pytest.raises(ValueError, match=r"do not overlap: qualities 1\.\.2 and 2\.\.3"):
        bd_rate([1, 2], [1, 2], [1, 2], [2, 3])
