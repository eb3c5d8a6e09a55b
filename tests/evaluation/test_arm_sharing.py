"""Bits shared over a set: totals are kept, and what the set loses gets less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_evaluation import KL, QPS, curve, measurements

from npp.allocation import LossCurve
from npp.evaluation.arm_sharing import choose_places, joined_qps, share_arm, weighted_by_size
from npp.evaluation.measured_values import Measurements


def _measured(seed: int = 0) -> Measurements:
    """Pictures that differ in rate and in what they lose."""
    bpp, kl = curve(30, seed)
    kl = kl.mean(axis=1, keepdims=True) * (kl[0] / kl[0].mean()) ** 2
    found = measurements(a=(bpp, kl))
    sensitivity = np.log2(kl / kl.mean(axis=1, keepdims=True))
    arm = replace(found.arms["a"], sizes=np.round(bpp * 5000).astype(np.int64), sensitivity=sensitivity)
    return replace(found, arms={"a": replace(arm, bpp=8 * arm.sizes / 40_000)})


@pytest.mark.parametrize("sharing", ["rates", "sensitivity", "measured"])
def test_totals_are_kept_and_every_file_is_a_measured_one(sharing: Any) -> None:
    measured = _measured()
    found, said = share_arm(measured, "a", sharing, QPS, KL)
    plain = measured.arms["a"]
    assert (found.sizes.sum(axis=1) <= plain.sizes.sum(axis=1)).all()
    assert (found.sizes.sum(axis=1) > 0.97 * plain.sizes.sum(axis=1)).all()
    assert said.bits.tolist() == (8 * found.sizes.sum(axis=1)).tolist()
    assert said.budgets.tolist() == (8 * plain.sizes.sum(axis=1)).tolist()
    for row in range(len(QPS)):
        for picture in range(30):
            place = QPS.index(int(said.qps[row, picture]))
            assert found.sizes[row, picture] == plain.sizes[place, picture]
            key = "net", "kl"
            assert found.scores[key][row, picture] == plain.scores[key][place, picture]


def test_what_is_known_of_pictures_pays() -> None:
    measured = _measured()
    plain = measured.arms["a"].scores["net", "kl"].mean(axis=1)
    lost = {
        sharing: share_arm(measured, "a", sharing, QPS, KL)[0].scores["net", "kl"].mean(axis=1)
        for sharing in ("sensitivity", "measured")
    }
    middle = slice(1, -1)  # all pictures are at the end at both ends
    assert (lost["measured"][middle] < 0.95 * plain[middle]).all()
    assert (lost["sensitivity"][middle] < 0.97 * plain[middle]).all()


def test_what_is_measured_is_believed_as_the_command_believes_it() -> None:
    """From the measured qps next to those that are sampled, and by half."""
    measured = _measured()
    arm = measured.arms["a"]
    sampled = [28, 34, 42]
    rows = arm.scores["net", "kl"][[QPS.index(qp) for qp in sampled]]
    losses = np.array([[LossCurve(sampled, column).at(qp) for qp in QPS] for column in rows.T])
    believed = np.sqrt(losses * np.exp2(np.array(QPS) / 3))
    bits = 8.0 * arm.sizes.T
    wanted = choose_places(bits, believed, 8 * arm.sizes.sum(axis=1))
    found = share_arm(measured, "a", "measured", QPS, KL)[1]
    assert found.qps.tolist() == np.array(QPS)[wanted].tolist()
    full = choose_places(bits, arm.scores["net", "kl"].T, 8 * arm.sizes.sum(axis=1))
    assert found.qps.tolist() != np.array(QPS)[full].tolist()


@pytest.mark.parametrize("qps", [(6, 8, 12, 16, 20, 22), (43, 47, 48, 49, 50, 51), (40, 41)])
def test_losses_of_any_qps_describe_a_curve(qps: tuple[int, ...]) -> None:
    measured = _measured()
    arm = measured.arms["a"]
    rows = [place % len(QPS) for place in range(len(qps))]
    losses = np.exp2(np.array(qps)[:, None] / 3) * arm.scores["net", "kl"][:1]
    sizes = np.sort(arm.sizes[rows], axis=0)[::-1]
    given = replace(arm, sizes=sizes, bpp=8 * sizes / 40_000, scores={("net", "kl"): losses})
    found = share_arm(replace(measured, qps=qps, arms={"a": given}), "a", "measured", qps[:1], KL)
    assert found[1].qps.shape == (1, 30)


def test_a_file_that_is_no_smaller_gives_way_to_the_better_one() -> None:
    bits = np.array([[900.0, 500.0, 510.0], [800.0, 400.0, 300.0]])
    losses = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    places = choose_places(bits, losses, [800.0, 900.0])
    assert places.tolist() == [[1, 2], [1, 1]]
    assert [bits[[0, 1], row].sum() for row in places] == [800.0, 900.0]


def test_sensitivity_must_be_known() -> None:
    measured = measurements(a=curve(5))
    with pytest.raises(ValueError, match="share: sensitivity needs a map"):
        share_arm(measured, "a", "sensitivity", QPS, KL)


def test_more_qps_are_put_in_their_places() -> None:
    one = _measured()
    more = replace(one, qps=(24, 30, 36, 44, 46))
    joined = joined_qps(one, more, ["a"])
    assert joined.qps == (24, 28, 30, 31, 34, 36, 38, 42, 44, 46)
    for source in (one, more):
        for place, qp in enumerate(source.qps):
            row = joined.qps.index(qp)
            assert (joined.arms["a"].sizes[row] == source.arms["a"].sizes[place]).all()
            assert joined.arms["a"].sensitivity is not None
    assert share_arm(joined, "a", "measured", QPS, KL)[0].sizes.shape == (len(QPS), 30)


def test_rates_of_a_set_are_all_bits_over_all_pixels() -> None:
    measured = _measured()
    arm = measured.arms["a"]
    pixels = np.linspace(1000, 90_000, 30)
    given = replace(measured, arms={"a": replace(arm, bpp=8 * arm.sizes / pixels)})
    found = weighted_by_size(given, ["a"]).arms["a"]
    expected = 8 * arm.sizes.sum(axis=1) / pixels.sum()
    assert np.allclose(found.bpp.mean(axis=1), expected)
