"""Probed curves: which qps describe them, what they say of all the others, and their JSON."""

from __future__ import annotations

import json

import pytest

from npp.batch.picture_curves import CurveSpan, PictureCurve, arguments_about_losses, spans_to_sample
from npp.recipes import ScaleRule


@pytest.mark.parametrize(
    ("factors", "wanted"),
    [
        ({}, [(0, 51, [24, 34, 44])]),
        ({25: 0.5}, [(0, 24, [0, 24]), (25, 51, [25, 34, 44])]),
        ({26: 0.5}, [(0, 25, [0, 25]), (26, 51, [26, 34, 44])]),
        ({43: 0.5}, [(0, 42, [24, 34, 42]), (43, 51, [43, 51])]),
        ({30: 0.75, 32: 0.5}, [(0, 29, [0, 29]), (30, 31, [30, 31]), (32, 51, [32, 34, 44])]),
    ],
)
def test_neighbours_alone_describe_no_curve(
    factors: dict[float, float], wanted: list[tuple[int, int, list[int]]]
) -> None:
    spans = spans_to_sample(480, 640, ScaleRule(factors) if factors else None)
    assert [(span.first, span.last, span.qps) for span in spans] == wanted


def test_curves_follow_the_sizes_of_a_recipe() -> None:
    """Each range of qps with a size of its own has its own curve; a range may be a single qp."""
    spans = [
        CurveSpan(0, 49, [24, 34, 44], [4000, 2000, 1000]),
        CurveSpan(50, 50, [50], [300]),
        CurveSpan(51, 51, [51], [200]),
    ]
    bits = PictureCurve(100, spans).bits()
    assert len(bits) == 52
    assert bits[34] == pytest.approx(16_000)
    assert bits[49] == pytest.approx(8000 / 2**0.5)
    assert bits[50:] == [2400, 1600]


def _lost(*losses: float) -> PictureCurve:
    return PictureCurve(100, [CurveSpan(0, 51, [24, 34, 44], [900, 400, 100], losses)])


def test_rounding_is_no_loss() -> None:
    """Where a network loses nothing of any picture, the sizes alone decide."""
    assert arguments_about_losses([_lost(0.0, 3e-8, 1e-9), _lost(2e-8, 0.0, 0.0)]) == {}
    arguments = arguments_about_losses([_lost(0.0, 3e-8, 1e-9), _lost(0.0, 0.01, 0.02)])
    assert arguments["belief"] == 0.5 and arguments["divergence"].shape == (2, 52)
    assert (arguments["divergence"][0] == arguments["divergence"][0][0]).all()


def test_the_json_of_a_curve_is_that_of_earlier_versions() -> None:
    """A stopped run of npp encode --share goes on from it."""
    sizes_alone = (
        '{"pixels": 4096, "pieces": [{"first": 0, "last": 29, "qps": [24, 29], "bytes": [900, 700]}, '
        '{"first": 30, "last": 51, "qps": [30, 34, 44], "bytes": [500, 400, 100]}], "sensitivity": -1.5}'
    )
    with_losses = (
        '{"pixels": 4096, "pieces": [{"first": 0, "last": 51, "qps": [24, 34, 44], "bytes": [900, 400, 100], '
        '"losses": [0.0, 0.25, 0.5]}]}'
    )
    for text in (sizes_alone, with_losses):
        assert json.dumps(PictureCurve.from_json(json.loads(text)).as_json()) == text
    assert PictureCurve.from_json(json.loads(sizes_alone)).sensitivity == -1.5
    assert PictureCurve.from_json(json.loads(with_losses)).sampled_losses() == [0.0, 0.25, 0.5]
