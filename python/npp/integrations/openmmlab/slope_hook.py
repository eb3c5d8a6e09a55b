"""A hook of mmengine that measures BPG's own curve before training, for λ by slope."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch

from npp.checks import QP_COUNT, whole
from npp.extras import require
from npp.integrations.openmmlab.qp_weights import LABEL
from npp.integrations.openmmlab.recipe_hook import coded_model
from npp.training.baseline import Curve, spread_qps

_hooks: Any = require("mmengine.hooks", "npp.integrations.openmmlab")
_SEED = 0
_MOST_BATCHES = 1_000_000


class SlopeHook(_hooks.Hook):  # type: ignore[misc]  # mmengine has no types
    """Measures bpp and the inner model's losses under BPG alone, and sets the model's λ by their slope.

    Nothing is measured where the model needs no curve, or has one from a checkpoint.

    Args:
        batches: the number of batches of the training loader, in each process, 1 to 1,000,000.
        points: the number of qps from the lowest to the highest that is trained, 3 to 52.

    Raises:
        ValueError: another number of batches or points; when it measures, bits that do not fall or losses
            that do not rise with the qp.
    """

    def __init__(self, batches: int = 16, points: int = 8) -> None:
        self._batches = whole("batches", batches, 1, _MOST_BATCHES)
        self._points = whole("points", points, 3, QP_COUNT)

    def before_train(self, runner: Any) -> None:
        """Measures before the first step."""
        model = coded_model(runner)
        if not model.weights.missing():
            return
        qps = spread_qps(model.weights.qps[0], model.weights.qps[-1], self._points)
        loader = runner.train_dataloader
        sums = torch.zeros(len(qps), 2, dtype=torch.float64, device="cpu")
        count = 0
        for data in islice(loader, self._batches):
            count += 1
            for row, qp in enumerate(qps):
                with torch.random.fork_rng():
                    torch.manual_seed(_SEED)  # two-stage detectors sample boxes
                    sums[row] += sums.new_tensor(model.plain_losses(data, qp))
        means = sums / count
        require("mmengine.dist", "training").all_reduce(means, op="mean")
        curve = Curve(qps, means[:, 0].tolist(), {LABEL: means[:, 1].tolist()})
        model.weights.set_curve(curve)
        runner.logger.info(f"BPG alone: qp {qps}, bpp {curve.bpp}, losses {curve.losses[LABEL]}")
