"""What is minimised, and BPG's own curves that it is weighed by."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import NETWORK, exponential, pictures
from torch import Tensor, nn

import npp
from npp.config.yaml_files import ConfigError
from npp.preprocessing.unet import LAMBDAS
from npp.tasks import build_task
from npp.training.baseline import (
    Baseline,
    Curve,
    Trend,
    curve_bd_rate,
    load_curves,
    measure,
    save_curves,
)
from npp.training.objective import LossWeights, Targets, total_loss
from npp.training.recipe_model import TrainedBatch
from npp.training.train_config import (
    LossConfig,
    TradeOffConfig,
)

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


def test_slope_of_a_known_curve() -> None:
    baseline = Baseline(exponential())
    # bpp' / loss' = (8 exp(-qp/10) / 10) / (exp(qp/5) / 5000)
    for qp in (25, 33, 45):
        expected = 8 * math.exp(-qp / 10) / 10 / (math.exp(qp / 5) / 5000)
        assert baseline.slope("a", [qp])[0] == pytest.approx(expected)
        assert baseline.bpp([qp])[0] == pytest.approx(8 * math.exp(-qp / 10))


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


def test_baseline_is_the_mean_of_the_real_codec() -> None:
    task = build_task("classification", model=NETWORK)
    x = pictures(3, 32)
    curve = measure([x[:2], x[2:]], {"a": task}, [40, 30], partial(npp.compress, effort=0))
    coded = npp.compress(x, 40, effort=0)
    assert curve.qps == [30, 40]
    assert curve.bpp[1] == pytest.approx(coded.bpp.mean().item())
    assert curve.losses["a"][1] == pytest.approx(
        task.loss(coded.x_hat, task.targets(x)).mean().item(), rel=1e-4
    )


class _Sure(nn.Module):
    """Says which channel is the brightest, and nothing about how nearly it is not."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(x.mean((2, 3)).argmax(1), 3).float()


def test_a_loss_without_a_gradient_is_refused_before_the_training() -> None:
    tasks = {"a": build_task("classification", model=NETWORK), "b": build_task("match", model=_Sure())}
    with pytest.raises(ConfigError, match=r"^the loss of b has no gradient with respect to the pictures"):
        measure([pictures(2, 32)], tasks, [40, 30], partial(npp.compress, effort=0))


def test_curves_are_measured_again_under_other_conditions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "baseline.json"
    assert load_curves(path, {"photos": 3}) is None
    save_curves(path, {"training": exponential()}, {"photos": 3})
    assert load_curves(path, {"photos": 3}) == {"training": exponential()}
    assert load_curves(path, {"photos": 4}) is None
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"baseline\.json holds no curves"):
        load_curves(path, {"photos": 3})


def test_bd_rate_of_fewer_bits_is_what_was_saved() -> None:
    curve = exponential()
    fewer = Curve(curve.qps, [0.9 * bpp for bpp in curve.bpp], curve.losses)
    assert curve_bd_rate(curve, fewer, "a") == pytest.approx(-10)
    other = Curve(curve.qps, curve.bpp, {"a": [1e6 * loss for loss in curve.losses["a"]]})
    assert math.isnan(curve_bd_rate(curve, other, "a"))


def test_targets_are_made_once_where_photos_come_again() -> None:
    class Counting:
        seen = 0

        def loss_targets(self, x: torch.Tensor) -> list[float]:
            self.seen += len(x)
            return x.flatten(1).sum(1).tolist()

    task, x = Counting(), pictures(3, 8)
    kept = Targets({"a": task}, keep=True)  # type: ignore[dict-item]
    first = kept.of(x, torch.tensor([5, 6, 7]))
    assert first == {"a": [float(one.sum()) for one in x]}  # each photo's own
    again = kept.of(x[[2, 0]], torch.tensor([7, 5]))
    assert again == {"a": [first["a"][2], first["a"][0]]} and task.seen == 3
    always = Targets({"a": task}, keep=False)  # type: ignore[dict-item]
    assert always.of(x, torch.tensor([5, 6, 7])) == first and task.seen == 6
    assert always.of(x[[1]], torch.tensor([5])) == {"a": [first["a"][1]]}, "another picture of the photo"
