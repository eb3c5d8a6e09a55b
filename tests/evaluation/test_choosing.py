"""Sigmas that are chosen, and the blur that they make."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_evaluation import KL, QPS, curve, measurements

from npp.evaluation.bd_rate import monotone
from npp.evaluation.choosing import Candidates, best_arm, best_factors, best_sigmas, curve_qps, rate_offset
from npp.evaluation.measured_values import ArmMeasurements, Measurements
from npp.evaluation.prefilters import BlurByQp


def test_rate_offset_is_the_distance_to_the_curve() -> None:
    rates, heights = np.array([0.2, 0.4, 0.8]), np.array([1.0, 2.0, 3.0])
    assert rate_offset(rates, heights, 0.4, 2.0) == pytest.approx(0)
    assert rate_offset(rates, heights, 0.2, 2.0) == pytest.approx(np.log10(0.5))
    assert rate_offset(rates, heights, 0.4, 3.5) == float("inf")


def _candidates(*arms: tuple[float, float, float]) -> Candidates:
    """A plain curve, and variants with a value and factors on its bpp and KL."""
    wide = np.array(curve_qps(QPS))
    bpp, kl = np.exp(-0.11 * (wide - 28))[:, None], (0.02 * np.exp(0.15 * (wide - 28)))[:, None]
    plain = ArmMeasurements(np.ones(bpp.shape, np.int64), bpp, {("net", "kl"): kl}, {})
    others = measurements(**{f"v{value}": (a * bpp[1:-1], b * kl[1:-1]) for value, a, b in arms})
    curve = Measurements(tuple(wide), ("0",), (KL,), {"plain": plain})
    return Candidates(curve, "plain", others, {f"v{value}": value for value, *_ in arms}, KL)


def test_blur_search_takes_the_sigma_that_saves_most_and_none_where_all_hurt() -> None:
    useful = _candidates((0.4, 0.8, 1.0), (0.7, 0.7, 1.02))
    assert best_sigmas(useful) == dict.fromkeys(QPS, 0.7)
    harmful = _candidates((0.4, 0.95, 1.4), (0.7, 0.9, 2.0))
    assert best_sigmas(harmful) == dict.fromkeys(QPS, 0.0)
    outside = _candidates((0.4, 0.5, 100.0), (0.7, 1.0, 1.0))
    assert best_sigmas(outside) == dict.fromkeys(QPS, 0.0)


def test_a_size_that_won_stays_where_it_is_worse_than_the_curve_s_end() -> None:
    # Twice the KL is as much as 4.6 qps more: beyond the curve's end, 4 qps above the last.
    useful = _candidates((0.5, 0.4, 2.0))
    assert best_factors(useful) == dict.fromkeys(QPS, 0.5)
    assert not np.isfinite(useful.offsets(len(QPS) - 1)[0.5])
    assert best_factors(_candidates((0.5, 0.9, 2.0))) == dict.fromkeys(QPS, 1.0)


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ({}, 0),
        ({"good": (0.8, 1.0)}, 2),  # a fifth fewer bits for the same
        ({"bad": (1.2, 1.0)}, 0),
        ({"far": (1.0, 1e6)}, 0),  # no quality in common
    ],
)
def test_an_arm_that_cannot_be_compared_has_no_gain(
    others: dict[str, tuple[float, float]], chosen: int
) -> None:
    """Arms are the anchor, one whose quality is the same at every qp, and others."""
    bpp, kl = curve()
    arms = {"a": (bpp, kl), "flat": (bpp, np.ones_like(kl))}
    arms |= {name: (a * bpp, b * kl) for name, (a, b) in others.items()}
    measured = measurements(**arms)
    curves = {
        name: monotone(arm.bpp.mean(axis=1), KL.quality(arm.points(KL)))
        for name, arm in measured.arms.items()
    }
    assert best_arm(curves) == list(arms)[chosen]


def test_no_arm_is_better_where_the_first_has_no_curve() -> None:
    bpp, kl = curve()
    flat = monotone(bpp.mean(axis=1), np.ones(len(QPS)))
    assert best_arm({"flat": flat, "a": monotone(bpp.mean(axis=1), -np.log(kl.mean(axis=1)))}) == "flat"


def test_blur_keeps_flat_pictures_and_smooths_others() -> None:
    images = torch.rand(2, 3, 40, 32)
    blur = BlurByQp({30: 0.0, 34: 1.0})
    assert blur.identity(30) is None and blur.identity(34) == {"blur": 1.0}
    assert blur(images, 30) is images
    assert torch.allclose(blur(torch.full_like(images, 0.3), 34), torch.tensor(0.3), atol=1e-6)
    assert blur(images, 34).std() < 0.5 * images.std()
