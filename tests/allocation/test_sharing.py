"""Bits shared over a set: the choice is the best there is and fits the budget; rate curves tell the truth."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from npp.allocation import LossCurve, RateCurve, expected_sensitivity, share_bits


def _curves(count: int, seed: int = 0) -> torch.Tensor:
    """Bits of pictures that differ in size and in how fast they fall with the qp."""
    random = np.random.default_rng(seed)
    start = random.uniform(14, 20, count)[:, None]
    fall = random.uniform(0.08, 0.2, count)[:, None]
    return torch.from_numpy(np.exp2(start - fall * np.arange(52)))


def _losses(sensitivity: torch.Tensor) -> torch.Tensor:
    return sensitivity[:, None] * torch.exp2(torch.arange(52, dtype=torch.float64) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_choice_is_close_to_the_best_of_all(seed: int) -> None:
    """Against every combination of qps that fits: a convex hull misses its best by less than one step."""
    bits, sensitivity = _curves(4, seed), torch.rand(4, dtype=torch.float64) + 0.1
    losses, low, high = _losses(sensitivity), 30, 37
    budget = float(bits[:, 34].sum())
    best = min(
        float(losses[range(4), list(qps)].sum())
        for qps in itertools.product(range(low, high + 1), repeat=4)
        if float(bits[range(4), list(qps)].sum()) <= budget
    )
    found = share_bits(bits, budget, sensitivity=sensitivity, qps=(low, high))
    assert found.total_bits <= budget
    assert torch.allclose(bits[range(4), found.qps], found.bits)
    loss = float(losses[range(4), found.qps].sum())
    one_step = float((losses[:, 35] - losses[:, 34]).max())
    assert best <= loss <= best + one_step
    assert loss < float(losses[:, 34].sum()), "no better than one qp for all"


def test_more_sensitive_pictures_get_more_bits() -> None:
    bits = _curves(1).repeat(3, 1)
    found = share_bits(bits, float(bits[:, 35].sum()), sensitivity=[1.0, 4.0, 16.0])
    assert found.qps[0] > found.qps[1] > found.qps[2]


def test_measured_divergence_decides() -> None:
    """A picture that loses nothing until a cliff is taken to the cliff, not beyond."""
    bits = _curves(1).repeat(2, 1)
    divergence = torch.ones(2, 52, dtype=torch.float64) * torch.exp2(torch.arange(52) / 3.0)
    divergence[0, :40] = 1e-3
    divergence[0, 40:] = 1e9
    found = share_bits(bits, float(bits[:, 35].sum()), divergence=divergence)
    assert found.qps[0] == 39
    assert found.qps[1] < 35


@pytest.mark.parametrize("belief", [0.0, 0.5, 1.0])
def test_measured_divergence_is_believed_as_far_as_one_says(belief: float) -> None:
    """The rest has the model, in which all pictures are alike."""
    bits, random = _curves(20, 2), np.random.default_rng(5)
    divergence = np.exp2(random.normal(0, 2, (20, 1)) + random.uniform(0.1, 0.6, (20, 1)) * np.arange(52))
    model = np.exp2(np.arange(52) / 3)
    budget = float(bits[:, 34].sum())
    found = share_bits(bits, budget, divergence=divergence, belief=belief)
    blended = divergence**belief * model ** (1 - belief)
    assert found.qps.tolist() == share_bits(bits, budget, divergence=blended).qps.tolist()
    alike = share_bits(bits, budget).qps.tolist()
    assert (found.qps.tolist() == alike) is (belief == 0)


def test_losses_beside_the_qps_that_may_be_chosen_have_no_say() -> None:
    bits = _curves(8, 4)
    measured = torch.rand(8, 1, dtype=torch.float64) * torch.exp2(torch.arange(52) / 3.0)
    budget, chosen = float(bits[:, 36].sum()), (30, 45)
    wanted = share_bits(bits, budget, divergence=measured, qps=chosen).qps.tolist()
    for outside in (1e-9, 1.0, 1e12):
        padded = torch.full((8, 52), outside, dtype=torch.float64)
        padded[:, 30:46] = measured[:, 30:46]
        assert share_bits(bits, budget, divergence=padded, qps=chosen).qps.tolist() == wanted
    assert len(set(wanted)) > 1


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e250])
def test_the_scale_of_losses_changes_nothing(scale: float) -> None:
    bits = _curves(8, 4)
    measured = torch.rand(8, 1, dtype=torch.float64) * torch.exp2(torch.arange(52) / 3.0)
    budget = float(bits[:, 36].sum())
    found = share_bits(bits, budget, divergence=scale * measured)
    plain = share_bits(bits, budget, divergence=measured)
    assert found.qps.tolist() == plain.qps.tolist()
    assert found.slope == pytest.approx(scale * plain.slope)


def test_expected_sensitivity_believes_in_part() -> None:
    """The power .4 of how far each prediction lies from the middle one, and none beyond 6 doublings."""
    assert expected_sensitivity([3.0, 7.0, -97.0]).tolist() == pytest.approx([1, 2**1.6, 2**-2.4])
    trained = torch.tensor([3.0, 7.0], requires_grad=True) * 1
    assert expected_sensitivity(trained).tolist() == expected_sensitivity([3.0, 7.0]).tolist()
    for predicted in ([1.0, float("nan")], 1.0, [[1.0]]):
        with pytest.raises(ValueError, match="predicted must hold a finite number"):
            expected_sensitivity(predicted)


def test_a_higher_qp_that_takes_more_bits_is_not_chosen() -> None:
    """Measured files do grow now and then, and what is lost may stay the same meanwhile."""
    bits, low, high = _curves(2, 1), 30, 36
    bits[0, 33:35] = bits[0, 32:33] * torch.tensor([1.3, 1.2])
    bits[1, 36] = 2 * bits[1, 35]
    losses = _losses(torch.tensor([1.0, 2.0], dtype=torch.float64))
    flat = losses.clone()
    flat[0, 33:35] = flat[0, 32]
    flat[1, 36] = flat[1, 35]
    chosen = set()
    for measured, budget in itertools.product((losses, flat), bits[:, 31:36].sum(0).tolist()):
        found = share_bits(bits, budget, divergence=measured, qps=(low, high))
        assert torch.equal(found.bits, bits[range(2), found.qps])
        assert found.total_bits <= budget
        chosen |= {("first", int(found.qps[0])), ("second", int(found.qps[1]))}
    assert ("first", 32) in chosen and not chosen & {("first", 33), ("first", 34), ("second", 36)}
    least = float(bits[0, 36] + bits[1, 35])
    for measured in (losses, flat):
        assert share_bits(bits, least, divergence=measured, qps=(low, high)).qps.tolist() == [36, 35]
    with pytest.raises(ValueError, match="total_bits must be at least"):
        share_bits(bits, least * 0.999, qps=(low, high))


def test_no_picture_is_taken_to_lose_less_at_a_higher_qp() -> None:
    """A measured loss that dips is chance, and no reason to save its bits there."""
    bits = _curves(2, 1)
    losses = _losses(torch.tensor([1.0, 1.0], dtype=torch.float64))
    dips = losses.clone()
    dips[0, 41:43] /= 1000
    level = dips.clone()
    level[0, 41:43] = dips[0, 40]
    budget = float(bits[:, 34].sum())
    found = share_bits(bits, budget, divergence=dips)
    assert found.qps.tolist() == share_bits(bits, budget, divergence=level).qps.tolist()
    assert found.qps[0] < 40


def test_equal_pictures_share_equally() -> None:
    bits = _curves(1).repeat(10, 1)
    found = share_bits(bits, float(bits[:, 33].sum()))
    assert found.qps.tolist() == [33] * 10


def test_budgets_at_the_ends() -> None:
    bits = _curves(3)
    assert share_bits(bits, float(bits[:, 51].sum())).qps.tolist() == [51] * 3
    assert share_bits(bits, 1e12).qps.tolist() == [0] * 3
    assert share_bits(bits, 1e12, qps=(20, 40)).qps.tolist() == [20] * 3
    with pytest.raises(ValueError, match="total_bits must be at least"):
        share_bits(bits, float(bits[:, 51].sum()) * 0.9)


def test_a_budget_is_spent() -> None:
    """What is left is less than the cheapest step of any picture."""
    bits = _curves(50, 3)
    budget = float(bits[:, 34].sum()) * 1.01
    found = share_bits(bits, budget)
    steps = bits[range(50), (found.qps - 1).clamp_min(0)] - found.bits
    assert 0 <= budget - found.total_bits < float(steps[found.qps > 0].min())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": torch.ones(3, 51)}, r"\(3, 51\)"),
        ({"bits": torch.zeros(3, 52)}, "above 0"),
        ({"sensitivity": torch.ones(2)}, "sensitivity has shape"),
        ({"sensitivity": torch.tensor([1.0, float("nan"), 1.0])}, "sensitivity must hold finite"),
        ({"divergence": torch.ones(3, 10)}, "divergence has shape"),
        ({"sensitivity": torch.ones(3), "divergence": torch.ones(3, 52)}, "exclude each other"),
        ({"divergence": torch.ones(3, 52), "belief": 1.1}, "belief"),
        ({"belief": 0.5}, "belief is about divergence"),
        ({"qps": (40, 30)}, "qps must be"),
        ({"qps": (0, 52)}, "qps must be"),
        ({"qps": (20.5, 40)}, r"qps must be the lowest and the highest, integers .*not \(20\.5, 40\)"),
        ({"qps": 30}, "qps must be the lowest and the highest, .*not 30"),
        ({"qps": (10, 20, 30)}, "qps must be"),
        ({"qps": "24"}, "qps must be"),
        ({"total_bits": torch.ones(3)}, "total_bits must be a finite number from 0 on"),
        ({"total_bits": torch.tensor(1.0)}, "total_bits must be at least"),
        ({"total_bits": "1e6"}, "total_bits must be"),
        ({"growth": 0}, "growth"),
        ({"total_bits": float("nan")}, "total_bits"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"bits": _curves(3), "total_bits": 1e6, **arguments}
    with pytest.raises(ValueError, match=message):
        share_bits(given.pop("bits"), given.pop("total_bits"), **given)  # type: ignore[arg-type]


def test_a_total_may_be_a_tensor_and_qps_numpys() -> None:
    bits = _curves(3)
    budget = bits[:, 30].sum()
    found = share_bits(bits, budget, qps=np.array([20, 40]))  # type: ignore[arg-type]
    assert torch.equal(found.qps, share_bits(bits, float(budget), qps=(20, 40)).qps)


def test_curve_goes_through_its_points_and_straight_on() -> None:
    curve = RateCurve([20, 30, 40], [4000, 1500, 400])
    assert [round(curve.at(qp)) for qp in (20, 30, 40)] == [4000, 1500, 400]
    assert curve.at(50) == pytest.approx(400 * 400 / 1500)
    with pytest.raises(ValueError, match="rising"):
        RateCurve([30, 20], [1, 2])


def test_losses_go_through_their_points_and_never_fall() -> None:
    curve = LossCurve([20, 30, 40], [0.25, 0.125, 2.0])
    assert [curve.at(qp) for qp in (20, 30, 40)] == pytest.approx([0.25, 0.25, 2.0])
    assert curve.at(50) == pytest.approx(16.0)
    assert (np.diff(curve.table()) >= 0).all() and curve.table().shape == (52,)
    for qps, losses, message in (
        ([20], [1.0], "at least two"),
        ([20, 30], [1.0, 0.0], "losses must hold"),
        ([20, 30], ["a", 1.0], r"losses must hold numbers, not \['a', 1.0\]"),
        ([20, 30], 1.0, "qps must be at least two rising ones with losses for each"),
        (20, [1.0], "qps must be a list of qps, not 20"),
        ([20, 30], [1.0, float("inf")], "losses must hold"),
    ):
        with pytest.raises(ValueError, match=message):
            LossCurve(qps, losses)


@pytest.mark.parametrize("qp", [-1, 52, float("nan"), "a", True])
def test_a_curve_knows_the_qps_that_there_are(qp: Any) -> None:
    with pytest.raises(ValueError, match="qp must be a number from 0 to 51, not "):
        RateCurve([20, 30, 40], [4000, 1500, 400]).at(qp)
    with pytest.raises(ValueError, match="each of qps must be a number from 0 to 51, not "):
        LossCurve([20, qp], [1, 2])
