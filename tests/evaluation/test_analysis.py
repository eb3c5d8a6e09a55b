"""Constructed curves with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from small_evaluation import KL, curve, findings, measurements

from npp.evaluation import bd_rate, resample_bd_rate
from npp.evaluation.analysis import rate_at
from npp.evaluation.bd_rate import monotone
from npp.evaluation.bd_rate_bootstrap import picture_counts, resampled_means
from npp.evaluation.class_overlaps import ClassOverlaps
from npp.evaluation.comparison_tables import needed_bpp
from npp.evaluation.judges import Axis
from npp.evaluation.measured_values import ArmMeasurements, Measurements
from npp.pchip import pchip


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


def test_one_picture_has_no_interval() -> None:
    """It can be drawn in one way only, which says nothing of other pictures."""
    bpp, kl = (table[:, :1] for table in curve())
    measured = measurements(a=(bpp, kl), b=(0.8 * bpp, kl))
    found = findings(measured, differences=(("b", "a"),))
    single = found.find("b", "a", KL).interval
    assert single.value == pytest.approx(-20)
    assert np.isnan(single.low) and not single.excludes_zero and found.differences == ()


def test_an_error_that_is_gone_does_not_decide_the_rest() -> None:
    """Its logarithm has no end: it counts as half of the smallest error that is left."""
    bpp, kl = curve()
    gone = kl.copy()
    gone[0] = 0
    measured = measurements(a=(bpp, gone), b=(0.7 * bpp, gone))
    assert findings(measured).find("b", "a", KL).interval.value == pytest.approx(-30)
    dearer = 0.7 * bpp
    dearer[0] = 1.3 * bpp[0]
    measured = measurements(a=(bpp, gone), b=(dearer, gone))
    assert findings(measured).find("b", "a", KL).interval.value < -12


def test_what_an_error_that_is_gone_counts_as() -> None:
    """Half of the least that any arm has left, here that of the second arm, for both."""
    bpp, kl = curve(seed=3)
    gone, least = kl.copy(), kl.copy()
    gone[0], least[0] = 0, kl[0] / 10
    found = findings(measurements(a=(bpp, gone), b=(0.7 * bpp, least))).find("b", "a", KL).interval
    means = kl.mean(axis=1), bpp.mean(axis=1)
    errors = [np.concatenate([[first * means[0][0]], means[0][1:]]) for first in (1 / 20, 1 / 10)]
    expected = bd_rate(means[1], -np.log(errors[0]), 0.7 * means[1], -np.log(errors[1]))
    assert found.value == pytest.approx(expected)


def _overlaps(seed: int) -> tuple[ClassOverlaps, ...]:
    """Of 12 pictures of 1000 pixels, of which ever more are wrong at five qps."""
    generator = np.random.default_rng(seed)
    right = 1000 - np.cumsum(generator.integers(20, 90, (5, 12)), axis=0)
    return tuple(ClassOverlaps(one[:, None], np.full((12, 1), 1000)) for one in right)


def test_metrics_of_matched_pictures_take_the_first_two_hundred_resamplings() -> None:
    axis = Axis("net", "true_miou", higher_is_better=True, dataset=True, true=True)
    bpp, _ = curve(12)
    matches = {"a": _overlaps(1), "b": _overlaps(2)}
    arms = {
        name: ArmMeasurements(
            np.ones(bpp.shape, np.int64),
            rates,
            {},
            {("net", "true_miou"): np.array([one.values["true_miou"] for one in matches[name]])},
            matches={"net": matches[name]},
        )
        for name, rates in (("a", bpp), ("b", 0.9 * bpp))
    }
    measured = Measurements((28, 31, 34, 38, 42), tuple(map(str, range(12))), (axis,), arms)
    found = findings(measured, samples=300).find("b", "a", axis).interval
    drawn = picture_counts(12, 300, 0)[:, :201]
    values = []
    for counts in drawn.T:
        curves = [
            monotone(
                (arm.bpp * counts).sum(1), [(one.right[:, 0] @ counts) / 12_000 for one in matches[name]]
            )
            for name, arm in arms.items()
        ]
        values.append(bd_rate(*curves[0], *curves[1]))
    assert found.value == pytest.approx(values[0])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values[1:], [0.025, 0.975])))
    assert found.comparable == 1


def test_rates_at_the_ends_of_a_curve_are_known_and_beyond_them_are_not() -> None:
    axis = Axis("net", "top1", higher_is_better=True)
    rates, heights = np.array([[1.0], [0.5], [0.25]]), np.array([[0.75], [0.5], [0.25]])
    arm = ArmMeasurements(np.ones((3, 1), np.int64), rates, {("net", "top1"): heights}, {})
    assert [rate_at(arm, axis, value) for value in (0.75, 0.5, 0.25)] == pytest.approx([1, 0.5, 0.25])
    assert rate_at(arm, axis, 0.76) is None and rate_at(arm, axis, 0.24) is None


def test_accuracies_that_are_equal_as_whole_numbers_stay_equal() -> None:
    counts = picture_counts(40, 300, 0)
    assert (counts == counts.round()).all() and (counts.sum(0) == 40).all()
    right = np.random.default_rng(0).integers(0, 2, (1, 40)).astype(float)
    shuffled = np.concatenate([right, right[:, ::-1]])
    means = resampled_means(shuffled, np.concatenate([counts[:20], counts[:20][::-1]]))
    assert (means[0] == means[1]).all()


def test_what_a_quality_needs_in_words() -> None:
    axis = Axis("net", "top1", higher_is_better=True, true=True)
    bpp, _ = curve()
    for points, said in (
        ([0.8, 0.8, 0.79, 0.78, 0.77], f"at most {bpp.mean(axis=1).min():.3f} bpp"),
        ([0.7, 0.65, 0.6, 0.5, 0.4], "not reached"),
        ([0.8, 0.78, 0.7, 0.6, 0.5], f"{rate_at_076(bpp):.3f} bpp"),
    ):
        scores = np.repeat(np.array(points)[:, None], bpp.shape[1], axis=1)
        arm = ArmMeasurements(np.ones(bpp.shape, np.int64), bpp, {("net", "top1"): scores}, {})
        assert needed_bpp(arm, axis, 0.76) == said


def rate_at_076(bpp: np.ndarray) -> float:
    """Between the second and the third point, a third of the way in quality from the former."""
    rates = bpp.mean(axis=1)
    order = np.argsort(rates)
    heights = np.array([0.8, 0.78, 0.7, 0.6, 0.5])
    log_rates = np.log10(rates[order])
    return float(10 ** pchip(heights[order].tolist(), log_rates.tolist(), 0.76))


def test_curves_that_do_not_meet_are_told_in_the_quality_s_numbers() -> None:
    bpp, kl = curve()
    problem = findings(measurements(a=(bpp, kl), b=(bpp, 1000 * kl))).find("b", "a", KL).problem
    assert problem.startswith("the curves do not overlap: kl is 0.0")
    assert " with a, " in problem and problem.endswith(" with b")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0, 0, 0, 0, 0], "kl is 0 at every qp with b, which makes no curve"),
        ([0.25] * 5, "kl is 0.25 at every qp with b, which makes no curve"),
        ([0.0, 0.0, 0.0, 0.2, 0.3], "kl is not above 0 at 3 of 5 qps with b: the rest makes no curve"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], "kl gets nowhere better with more bits with b, which makes no curve"),
    ],
)
def test_an_arm_without_a_curve_is_told_in_the_quality_s_numbers(values: list[float], reason: str) -> None:
    """Of points from the fewest bits to the most."""
    bpp, kl = curve()
    flat = np.repeat(np.array(values)[:, None], bpp.shape[1], axis=1)
    table = np.empty_like(flat)
    table[np.argsort(-bpp.mean(axis=1))] = flat[::-1]
    found = findings(measurements(a=(bpp, kl), b=(bpp, table))).find("b", "a", KL)
    assert found.interval is None and found.problem == reason


def test_means_below_zero_have_no_curve_and_it_is_said() -> None:
    bpp, kl = curve()
    found = findings(measurements(a=(bpp, kl), b=(0.8 * bpp, kl - 1)), differences=(("b", "a"),))
    assert found.find("b", "a", KL).interval is None
    assert found.find("b", "a", KL).problem.endswith(", and what is below 0 has no logarithm")
    assert found.differences[0].problem == found.find("b", "a", KL).problem
    rounding, gone = kl.copy(), kl.copy()
    rounding[0], gone[0] = -1e-7, 0
    values = [
        findings(measurements(a=(bpp, kl), b=(0.8 * bpp, one))).find("b", "a", KL).interval.value
        for one in (rounding, gone)
    ]
    assert values[0] == values[1]
