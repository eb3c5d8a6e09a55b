"""The weight of the inner model's loss at each qp, as published or by the slope of BPG's own curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from npp.checks import QP_COUNT
from npp.config.typed import fill
from npp.training.baseline import Curve
from npp.training.rate_fit import Baseline
from npp.training.train_config import LossConfig, TradeOffConfig

#: The label of a curve under which the sum of the inner model's losses stands.
LABEL = "task"


def trade_off_config(setting: str | Mapping[str, Any]) -> TradeOffConfig:
    """The trade-off that a setting describes.

    Args:
        setting: ``"published"``, or the keys of ``trade_off`` in a configuration of ``npp train``.

    Raises:
        ConfigError: another word, an unknown key or a wrong value.
    """
    return fill(TradeOffConfig, {"pairs": setting} if isinstance(setting, str) else setting, "trade_off")


def loss_config(settings: Mapping[str, Any] | None, trade_off: TradeOffConfig) -> LossConfig:
    """The loss that settings describe.

    Without ``normalise``, and with given pairs, nothing is divided by BPG's bpp, so that nothing has to be
    measured.

    Args:
        settings: the keys of ``loss`` in a configuration of ``npp train``.
        trade_off: the trade-off beside it.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    defaults = {} if trade_off.table is None else {"normalise": "none"}
    return fill(LossConfig, {**defaults, **(settings or {})}, "loss")


class QpWeights(nn.Module):
    """Tables by qp: λ, and what the total is divided by.

    The tables are buffers, and so a part of checkpoints: a resumed run measures nothing anew.

    Args:
        trade_off: says which qps are trained, and which λ they have.
        loss: says whether the total is divided.
    """

    task: Tensor
    norm: Tensor

    def __init__(self, trade_off: TradeOffConfig, loss: LossConfig) -> None:
        super().__init__()
        self._trade_off = trade_off
        self._loss = loss
        # NaN where no qp is trained: a mistake would show at once.
        self.register_buffer("task", torch.full((QP_COUNT,), float("nan")))
        self.register_buffer("norm", torch.full((QP_COUNT,), float("nan")))
        if trade_off.table is not None:
            self.task[self.qps] = self.task.new_tensor([trade_off.table[qp] for qp in self.qps])
        if loss.normalise == "none":
            self.norm[self.qps] = 1.0

    @property
    def qps(self) -> list[int]:
        """The qps that are trained, rising."""
        return self._trade_off.choices

    def missing(self) -> bool:
        """Whether BPG's curve has to be measured first."""
        return not bool(torch.stack([self.task[self.qps], self.norm[self.qps]]).isfinite().all())

    def set_curve(self, curve: Curve) -> None:
        """Fills the tables that were missing from BPG's measured curve.

        Args:
            curve: BPG's own, with the loss :data:`LABEL`.

        Raises:
            ValueError: bits do not fall or the loss does not rise with the qp.
        """
        baseline = Baseline(curve)
        if self._trade_off.table is None:
            slopes = self._trade_off.slope_factor * baseline.slope(LABEL, self.qps)
            self.task[self.qps] = self.task.new_tensor(slopes)
        if self._loss.normalise == "baseline":
            self.norm[self.qps] = self.norm.new_tensor(baseline.bpp(self.qps))
