"""A shared total is met although the curves are not the files', whatever the number of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

import npp
from npp.allocation import SharedBudget, SharedStep, share_bits


def _curves(count: int, seed: int = 0) -> np.ndarray:
    """(N, 52) bits of pictures that differ in size and in how fast they fall with the qp."""
    random = np.random.default_rng(seed)
    start = random.uniform(14, 20, count)[:, None]
    fall = random.uniform(0.08, 0.2, count)[:, None]
    return np.exp2(start - fall * np.arange(52))


def _run(budget: SharedBudget, truth: np.ndarray) -> tuple[dict[int, float], int]:
    """Bits of the files that are kept, and how many were made."""
    kept: dict[int, float] = {}
    made = 0
    while steps := budget.next():
        for step in steps:
            bits = float(truth[step.picture, step.qp])
            made += 1
            if budget.record(step, bits):
                kept[step.picture] = bits
    return kept, made


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("count", [12, 60, 500])
def test_total_is_met_by_files_that_differ_from_their_curves(factor: float, count: int) -> None:
    curves = _curves(count)
    noise = np.exp2(np.random.default_rng(1).normal(0, 0.1, (count, 1)))
    truth = curves * factor * noise
    total = float(curves[:, 33].sum())
    budget = SharedBudget(curves, total)
    kept, made = _run(budget, truth)
    assert sorted(kept) == list(range(count))
    assert sum(kept.values()) == pytest.approx(budget.total_bits)
    assert 0.99 * total <= budget.total_bits <= total
    assert made <= count + 8 + 24 + 8, "a file is hardly ever made twice"
    assert kept == {picture: float(truth[picture, qp]) for picture, qp in budget.qps.items()}


def test_choice_is_nearly_that_of_who_knows_the_files() -> None:
    curves = _curves(200)
    truth, sensitivity = 1.3 * curves, np.linspace(0.2, 5, 200)
    total = float(truth[:, 33].sum())
    budget = SharedBudget(curves, total, sensitivity=sensitivity)
    _run(budget, truth)
    wanted = share_bits(truth, total, sensitivity=sensitivity).qps.numpy()
    found = np.array([budget.qps[picture] for picture in range(200)])
    assert np.abs(found - wanted).max() <= 1
    assert (found != wanted).mean() < 0.1


def test_measured_losses_decide_as_they_do_when_all_is_known() -> None:
    curves, random = _curves(200), np.random.default_rng(3)
    losses = np.exp2(random.normal(0, 2, (200, 1)) + random.uniform(0.2, 0.5, (200, 1)) * np.arange(52))
    total = float(curves[:, 33].sum())
    budget = SharedBudget(curves, total, divergence=losses, belief=0.5)
    _run(budget, curves)
    wanted = share_bits(curves, total, divergence=losses, belief=0.5).qps.numpy()
    found = np.array([budget.qps[picture] for picture in range(200)])
    assert np.abs(found - wanted).max() <= 1
    assert (found != wanted).mean() < 0.1
    alike = share_bits(curves, total).qps.numpy()
    assert (found != alike).mean() > 0.5


def test_never_exceeded_if_the_highest_qp_allows() -> None:
    """Files far larger than their curves, and a total that only qp 51 meets."""
    curves = _curves(9)
    truth = curves * np.linspace(1, 6, 9)[:, None]
    total = float(truth[:, 51].sum()) + 1
    budget = SharedBudget(curves, total)
    _run(budget, truth)
    assert budget.total_bits <= total
    assert set(budget.qps.values()) == {51}
    impossible = SharedBudget(curves, total / 2)
    kept, _ = _run(impossible, truth)
    assert len(kept) == 9
    assert set(impossible.qps.values()) == {51}
    assert impossible.least_bits > total / 2


def test_what_the_highest_qp_takes_is_known_from_its_files() -> None:
    """Without pictures that were dropped; the rest is as much above its curves as the files are."""
    curves = _curves(20)
    truth = 1.5 * curves
    budget = SharedBudget(curves, float(truth[:, 51].sum()) / 3)
    assert budget.least_bits == pytest.approx(float(curves[:, 51].sum()))
    first, *others = budget.next()
    budget.drop(first)
    for step in others:
        assert step.qp == 51
        budget.record(step, float(truth[step.picture, 51]))
    here = np.arange(20) != first.picture
    assert budget.least_bits == pytest.approx(float(truth[here, 51].sum()))


def test_more_than_enough_is_qp_0() -> None:
    curves = _curves(10)
    budget = SharedBudget(curves, 10 * float(curves.sum()))
    _run(budget, curves)
    assert set(budget.qps.values()) == {0}


def test_pictures_that_cannot_be_coded_leave_their_bits_to_the_others() -> None:
    curves = _curves(30)
    total = float(curves[:, 33].sum())
    budget, kept = SharedBudget(curves, total), set()
    while steps := budget.next():
        for step in steps:
            if step.picture % 3 == 0:
                budget.drop(step)
            elif budget.record(step, float(curves[step.picture, step.qp])):
                kept.add(step.picture)
    assert kept == set(budget.qps) == {picture for picture in range(30) if picture % 3}
    assert 0.98 * total <= budget.total_bits <= total


def test_a_file_above_its_step_is_not_kept() -> None:
    budget = SharedBudget(_curves(1), 1e4)
    (first,) = budget.next()
    assert budget.record(first, 5e3)
    assert not budget.record(SharedStep(0, 3, 9e3), 9e3 + 1)
    assert budget.qps == {0: first.qp}
    assert budget.total_bits == 5e3


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="total_bits"):
        SharedBudget(_curves(3), -1)
    with pytest.raises(ValueError, match=r"bits has shape \(3, 51\)"):
        SharedBudget(_curves(3)[:, 1:], 1e6)
    with pytest.raises(ValueError, match=r"sensitivity has shape \(2,\)"):
        SharedBudget(_curves(3), 1e6, sensitivity=[1, 2])
    with pytest.raises(ValueError, match="qps must be the lowest and the highest"):
        SharedBudget(_curves(3), 1e6, qps=(40, 30))


def test_with_the_real_codec() -> None:
    """Curves of effort 1 serve for files of effort 4."""
    photo = skimage.data.astronaut()
    images = [
        np.ascontiguousarray(photo[y : y + 96, x : x + 128]) for y in (0, 150, 300) for x in (0, 180, 350)
    ]
    probed = npp.rate_curves(images)
    total = 8 * sum(len(file) for file in npp.encode(images, 32, effort=4))
    budget = SharedBudget(probed, total)
    files: dict[int, bytes] = {}
    while steps := budget.next():
        for step in steps:
            file = npp.encode(images[step.picture], step.qp, effort=4)
            if budget.record(step, 8 * len(file)):
                files[step.picture] = file
    assert 0.98 * total <= 8 * sum(map(len, files.values())) <= total
    assert len(set(budget.qps.values())) > 1
    loss = torch.exp2(torch.tensor(list(budget.qps.values())) / 3).mean()
    assert loss < 2 ** (32 / 3), "no better than one qp for all"
