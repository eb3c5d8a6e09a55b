"""The total that a recipe's training minimises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from npp.checks import QP_COUNT
from npp.training.rate_fit import Baseline
from npp.training.recipe_model import TrainedBatch
from npp.training.train_config import LossConfig, TradeOffConfig


class Terms(NamedTuple):
    """The terms of the total of each picture of a batch.

    Attributes:
        bpp: (N,) bits a pixel of the real file.
        mse: (N,) squared error of the preprocessed picture against the original, pixels in [0, 1].
        energy: (N,) mean square of the map's offsets, in squared qps.
        losses: (N, tasks) losses of the tasks.
        total: (N,) the sum that is minimised.
    """

    bpp: Tensor
    mse: Tensor
    energy: Tensor
    losses: Tensor
    total: Tensor


class LossWeights(nn.Module):
    """Tables by qp: the coefficient of each task's loss, and what the total is divided by.

    With slopes, a task's coefficient is its own λ(qp) = -d bpp / d loss on BPG's curve times
    ``slope_factor`` and its share of the weights. Since λ goes with 1 / loss, tasks of any scale count
    alike. With given pairs, λ goes with the first task's loss, and the others' are first brought to its
    scale by the ratio of BPG's losses at that qp.
    """

    coefficients: Tensor
    norm: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__()
        # NaN where no qp is trained: a mistake would show at once.
        nothing = float("nan")
        self.register_buffer("coefficients", torch.full((QP_COUNT, tasks), nothing), persistent=False)
        self.register_buffer("norm", torch.full((QP_COUNT,), nothing), persistent=False)

    def set(
        self, baseline: Baseline, shares: Mapping[str, float], trade_off: TradeOffConfig, loss: LossConfig
    ) -> None:
        """Fills the tables.

        Args:
            baseline: BPG's fitted curve.
            shares: the weight of each task by label, in the tasks' order.
            trade_off, loss: the sections of the configuration.
        """
        qps = trade_off.choices
        first = next(iter(shares))
        for i, (label, share) in enumerate(shares.items()):
            part = share / sum(shares.values())
            if trade_off.table is None:
                values = part * trade_off.slope_factor * baseline.slope(label, qps)
            else:
                scale = baseline.loss(first, qps) / baseline.loss(label, qps)
                values = part * torch.tensor([trade_off.table[qp] for qp in qps]).numpy() * scale
            self.coefficients[qps, i] = torch.as_tensor(values).to(self.coefficients)
        norm = baseline.bpp(qps) if loss.normalise == "baseline" else torch.ones(len(qps)).numpy()
        self.norm[qps] = torch.as_tensor(norm).to(self.norm)


def total_loss(
    x: Tensor,
    coded: TrainedBatch,
    losses: Tensor,
    coefficients: Tensor,
    norm: Tensor | Sequence[float],
    config: LossConfig,
) -> Terms:
    """Computes (bpp + mse_scale · MSEs + Σ coefficient · loss) / norm + w_map · energy of each picture.

    The MSEs are w_pre times that of x_pre and w_hat times that of x_hat.

    Args:
        x: (N, 3, H, W), the pictures.
        coded: the pictures on their way through the recipe.
        losses, coefficients: (N, tasks) each.
        norm: (N,), what the total is divided by.
        config: the other weights.

    Returns:
        The terms, with gradients. The formula is the training objective of arXiv 2206.05650; the term of the
        map and the last MSE are ours.
    """
    mse, energy = coded.mse(), coded.energy()
    task = (coefficients * losses).sum(1)
    norm = torch.as_tensor(norm, device=mse.device)
    changes = config.w_pre * mse
    if config.w_hat:
        changes = changes + config.w_hat * (coded.x_hat.float() - x.float()).square().mean((1, 2, 3))
    total = (coded.bpp + config.mse_scale * changes + task) / norm
    if coded.qp_map is not None:
        total = total + config.w_map * energy
    return Terms(coded.bpp, mse, energy, losses, total)
