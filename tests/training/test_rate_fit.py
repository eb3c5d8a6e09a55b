"""Smooth lines through BPG's own curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_runs import exponential

from npp.training.rate_fit import Baseline, Trend


def test_slope_of_a_known_curve() -> None:
    baseline = Baseline(exponential())
    # bpp' / loss' = (8 exp(-qp/10) / 10) / (exp(qp/5) / 5000)
    for qp in (25, 33, 45):
        expected = 8 * math.exp(-qp / 10) / 10 / (math.exp(qp / 5) / 5000)
        assert baseline.slope("a", [qp])[0] == pytest.approx(expected)
        assert baseline.bpp([qp])[0] == pytest.approx(8 * math.exp(-qp / 10))


def test_trend_stays_monotone() -> None:
    qps = [25, 30, 35, 40]
    bent = Trend("loss", qps, np.exp([0.0, 2.0, 3.0, 3.1]), rising=True)
    assert (bent.log_slope(range(25, 41)) > 0).all()
    curved = Trend("loss", qps, np.exp([0.0, 1.0, 2.2, 3.6]), rising=True)
    assert curved.log_slope([40])[0] > 1.3 * curved.log_slope([25])[0]
    with pytest.raises(ValueError, match="loss does not rise from qp 25 to 40"):
        Trend("loss", qps, [3.0, 2.0, 2.0, 1.0], rising=True)
    for value, said in ((math.nan, "NaN"), (math.inf, "infinite")):
        with pytest.raises(ValueError, match=rf"^loss is {said} at qp {qps[1]}$"):
            Trend("loss", qps, [1.0, value, 2.0, 3.0], rising=True)
    with pytest.raises(ValueError, match=r"^loss is -2 at qp 25, and what is below 0 has no logarithm"):
        Trend("loss", qps, [-2.0, -1.0, 0.0, 1.0], rising=True)
    assert Trend("loss", qps, [-1e-7, 1.0, 2.0, 3.0], rising=True).value([40])[0] > 0
