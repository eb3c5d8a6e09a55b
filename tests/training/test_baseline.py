"""BPG's own curves: how they are measured, compared and kept."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from small_runs import NETWORK, exponential, pictures
from torch import Tensor, nn

import npp
from npp.config.yaml_files import ConfigError
from npp.tasks import build_task
from npp.training.baseline import Curve, curve_bd_rate, load_curves, measure, save_curves
from npp.training.rate_fit import Baseline

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own


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


@pytest.mark.parametrize(("loss", "word"), [(math.nan, "NaN"), (math.inf, "infinite")])
def test_a_loss_that_is_no_number_is_still_none_when_it_was_stored(
    loss: float, word: str, tmp_path: Path
) -> None:
    curve = exponential()
    path = tmp_path / "baseline.json"
    save_curves(path, {"training": replace(curve, losses={"net": [loss] * len(curve.qps)})}, {})
    stored = load_curves(path, {})
    assert stored is not None
    with pytest.raises(ValueError, match=rf"the loss of net is {word} at qp"):
        Baseline(stored["training"])


def test_bd_rate_of_fewer_bits_is_what_was_saved() -> None:
    curve = exponential()
    fewer = Curve(curve.qps, [0.9 * bpp for bpp in curve.bpp], curve.losses)
    assert curve_bd_rate(curve, fewer, "a") == pytest.approx(-10)
    other = Curve(curve.qps, curve.bpp, {"a": [1e6 * loss for loss in curve.losses["a"]]})
    assert math.isnan(curve_bd_rate(curve, other, "a"))
