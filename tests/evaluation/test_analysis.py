"""Constructed curves with known answers."""

from __future__ import annotations

import pytest
from small_evaluation import KL, curve, findings, measurements

from npp.evaluation import resample_bd_rate


def test_identical_arms_differ_by_exactly_nothing() -> None:
    bpp, kl = curve()
    found = findings(measurements(a=(bpp, kl), b=(bpp.copy(), kl.copy()))).find("b", "a", KL)
    assert found.interval.value == found.interval.low == found.interval.high == 0
    assert found.overlap == 1 and not found.interval.excludes_zero


def test_a_fifth_fewer_bytes_is_minus_twenty_percent() -> None:
    bpp, kl = curve()
    found = findings(measurements(a=(bpp, kl), b=(0.8 * bpp, kl)), against=("b",))
    saved, spent = found.find("b", "a", KL).interval, found.find("a", "b", KL).interval
    assert saved.value == pytest.approx(-20) and saved.low == pytest.approx(-20) and saved.excludes_zero
    assert spent.value == pytest.approx(25)


def test_differences_are_paired_over_pictures() -> None:
    anchor, one, other = curve(seed=0), curve(seed=1), curve(seed=1)
    measured = measurements(a=anchor, b=(0.9 * one[0], one[1]), c=other)
    found = findings(measured, differences=(("b", "c"), ("b", "a")))
    paired, plain = found.differences
    single = found.find("b", "a", KL).interval
    assert plain.interval == single
    assert paired.interval.high < 0 and paired.interval.excludes_zero
    assert paired.interval.high - paired.interval.low < (single.high - single.low) / 3
    assert paired.interval.value == pytest.approx(single.value - found.find("c", "a", KL).interval.value)


def test_resampled_rates_need_the_same_resamplings_to_be_subtracted() -> None:
    bpp, kl = curve()
    few, many = (resample_bd_rate(bpp, -kl, bpp, -kl, samples=samples) for samples in (5, 6))
    with pytest.raises(ValueError, match="same resamplings, not 5 and 6"):
        few.minus(many)


def test_spread_over_seeds() -> None:
    bpp, kl = curve()
    arms = {"a": (bpp, kl), **{f"s{i}": ((0.8 + 0.02 * i) * bpp, kl) for i in range(3)}}
    (spread,) = findings(measurements(**arms), groups={"seeds": ("s0", "s1", "s2")}).spreads
    assert spread.values == pytest.approx((-20, -18, -16))
    assert spread.mean == pytest.approx(-18) and spread.deviation == pytest.approx(2)


def test_curves_without_overlap_are_said_and_do_not_stop_the_others() -> None:
    bpp, kl = curve()
    measured = measurements(a=(bpp, kl), b=(bpp, 1000 * kl), c=(bpp, kl))
    found = findings(measured, differences=(("b", "c"),), groups={"g": ("b", "c")})
    assert found.find("b", "a", KL).interval is None and found.find("b", "a", KL).overlap == 0
    assert "do not overlap" in found.find("b", "a", KL).problem
    assert found.differences[0].interval is None and found.spreads == ()
    assert found.find("c", "a", KL).interval.value == 0
