"""BD-rates of resamplings of the pictures, and their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from npp.evaluation import ResampledBDRate, bootstrap_bd_rate, resample_bd_rate


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"confidence": -1}, "confidence must be a number from 0 to 1, not -1"),
        ({"confidence": 95}, "confidence must be a number from 0 to 1, not 95"),
        ({"confidence": 1.0}, r"confidence must be between 0 and 1, not 1\.0"),
        ({"confidence": np.nan}, "confidence must be"),
        ({"samples": 0}, "samples must be an integer from 1 to 1000000, not 0"),
        ({"samples": 2.5}, "samples must be an integer"),
    ],
)
def test_settings_of_the_bootstrap_are_named(settings: dict[str, Any], words: str) -> None:
    bpp, quality = np.array([[1.0, 1.1], [2.0, 2.1]]), np.array([[1.0, 1.2], [2.0, 2.2]])
    with pytest.raises(ValueError, match=words):
        bootstrap_bd_rate(bpp, quality, bpp, quality, **settings)
    if "confidence" in settings:
        with pytest.raises(ValueError, match=words):
            resample_bd_rate(bpp, quality, bpp, quality, samples=2).interval(**settings)


def test_bootstrap_interval_holds_the_truth_and_narrows() -> None:
    generator = np.random.default_rng(0)
    quality = np.linspace(30, 40, 5)[:, None]

    def arm(pictures: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
        bpp = factor * np.exp(quality / 10) * generator.lognormal(0, 0.1, (5, pictures))
        return bpp, np.repeat(quality, pictures, axis=1)

    few = bootstrap_bd_rate(*arm(20, 1.0), *arm(20, 0.9), samples=300)
    many = bootstrap_bd_rate(*arm(500, 1.0), *arm(500, 0.9), samples=300)
    assert few.low < -10 < few.high and many.low < -9 and many.high > -11
    assert many.high - many.low < few.high - few.low
    assert str(many).startswith(f"{many.value:+.1f} %")


def test_bootstrap_needs_the_same_pictures() -> None:
    with pytest.raises(ValueError, match="same pictures"):
        bootstrap_bd_rate(np.ones((3, 4)), np.ones((3, 4)), np.ones((3, 5)), np.ones((3, 5)))


def test_an_interval_says_in_which_part_of_the_resamplings_the_curves_overlapped() -> None:
    rates = np.array([np.nan, -4.0, np.nan, -2.0, np.nan, -3.0, np.nan, np.nan])
    found = ResampledBDRate(-3.5, rates).interval(0.5)
    assert (found.value, found.low, found.high, found.comparable) == (-3.5, -3.5, -2.5, 3 / 8)
    assert ResampledBDRate(-3.5, rates[[1, 3, 5]]).interval().comparable == 1
    with pytest.raises(ValueError, match="the curves overlap in no resampling"):
        ResampledBDRate(-3.5, rates[[0, 2]]).interval()


def test_resamplings_without_overlap_are_counted() -> None:
    """Of two pictures, the curves of the first alone are apart: in a quarter of all draws of two."""
    bpp = np.array([[1.0, 1.0], [2.0, 2.0]])
    anchor, quality = np.array([[0.0, 0.0], [1.0, 9.0]]), np.array([[2.0, 0.0], [3.0, 9.0]])
    found = bootstrap_bd_rate(bpp, anchor, bpp, quality, samples=4000)
    assert found.comparable == pytest.approx(0.75, abs=0.03)


def test_an_interval_is_of_the_middle_part_of_what_can_be_compared() -> None:
    """0 to 100 in steps of one, and as many that cannot."""
    rates = np.concatenate([np.arange(101.0)[::-1], np.full(101, np.nan)])
    for confidence, ends in ((0.9, (5, 95)), (0.5, (25, 75)), (0.98, (1, 99))):
        found = ResampledBDRate(7.0, rates).interval(confidence)
        assert (found.low, found.high) == pytest.approx(ends)
        assert found.value == 7 and found.comparable == 0.5
    assert ResampledBDRate(7.0, rates[:101]).interval().comparable == 1
    assert ResampledBDRate(7.0, np.array([1.0, 2.0])).interval().excludes_zero
    assert not ResampledBDRate(7.0, np.array([-1.0, 2.0])).interval().excludes_zero
