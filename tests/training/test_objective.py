"""What is minimised."""

from __future__ import annotations

import math

import pytest
import torch
from small_runs import exponential

from npp.preprocessing.unet import LAMBDAS
from npp.training.baseline import Curve
from npp.training.objective import LossWeights, total_loss
from npp.training.rate_fit import Baseline
from npp.training.recipe_model import TrainedBatch
from npp.training.train_config import LossConfig, TradeOffConfig

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


def test_total_is_what_a_pencil_says() -> None:
    x = torch.zeros(2, 3, 4, 4)
    x_pre = torch.stack([torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), 0.1)])
    coded = TrainedBatch(x, x_pre, None, x_pre, torch.tensor([1.0, 0.2]))
    rest = (
        torch.tensor([[0.3, 2.0], [0.1, 4.0]]),
        torch.tensor([[2.0, 0.5], [10.0, 0.25]]),
        torch.tensor([2.0, 0.5]),
        LossConfig(w_pre=0.5, mse_scale=4, w_map=0.1),
    )
    terms = total_loss(coded.x, coded, *rest)
    assert terms.mse.tolist() == pytest.approx([0.25, 0.01])
    first = (1.0 + 0.5 * 4 * 0.25 + 2 * 0.3 + 0.5 * 2) / 2
    second = (0.2 + 0.5 * 4 * 0.01 + 10 * 0.1 + 0.25 * 4) / 0.5
    assert terms.total.tolist() == pytest.approx([first, second])
    with_map = total_loss(coded.x, coded._replace(qp_map=torch.tensor([[[3.0, -1.0]], [[0.0, 0.0]]])), *rest)
    assert with_map.energy.tolist() == [5.0, 0.0]
    assert with_map.total.tolist() == pytest.approx([first + 0.5, second])


def test_weights_are_slopes_times_shares() -> None:
    baseline, weights = Baseline(exponential()), LossWeights(2)
    trade_off = TradeOffConfig(qps=(25, 44), slope_factor=2)
    weights.set(baseline, {"a": 3.0, "b": 1.0}, trade_off, LossConfig(normalise="baseline"))
    assert weights.coefficients[30].tolist() == pytest.approx(
        [0.75 * 2 * baseline.slope("a", [30])[0], 0.25 * 2 * baseline.slope("b", [30])[0]]
    )
    # Losses of whatever scale count alike at the baseline.
    costs = weights.coefficients[30] * torch.tensor([baseline.loss(label, 30).item() for label in "ab"])
    assert costs[0].item() == pytest.approx(3 * costs[1].item(), rel=1e-5)
    assert weights.norm[30].item() == pytest.approx(8 * math.exp(-3))
    assert weights.coefficients[[24, 45]].isnan().all() and weights.norm[[24, 45]].isnan().all()


def test_published_pairs_are_taken_as_they_are() -> None:
    one, two = LossWeights(1), LossWeights(2)
    curve = exponential()
    trade_off, loss = TradeOffConfig(pairs="published"), LossConfig(normalise="none")
    one.set(Baseline(Curve(curve.qps, curve.bpp, {"a": curve.losses["a"]})), {"a": 5.0}, trade_off, loss)
    assert one.coefficients[[25, 28, 29, 31, 34, 37, 44], 0].tolist() == [16, 8, 6, 4, 2, 1, 0.25]
    assert trade_off.table == LAMBDAS  # that of the network which is told λ
    assert one.norm[25] == 1 and one.norm[26].isnan()
    # b's loss is 1000 times a's: it is brought to a's scale.
    two.set(Baseline(curve), {"a": 1.0, "b": 1.0}, trade_off, loss)
    assert two.coefficients[25].tolist() == pytest.approx([8, 0.008])
