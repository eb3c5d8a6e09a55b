"""The exponential average of the weights, which is validated and kept."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Makes an exponential average of a model's weights; buffers are the model's own.

    It is shorter at the start, so that the first weights do not stay in it for the length of the run: in step
    n it keeps at most (1 + n) / (10 + n) of itself.
    """
    return AveragedModel(model, multi_avg_fn=partial(_average, decay=decay)).requires_grad_(False)


@torch.no_grad()
def _average(old: Any, new: Any, count: Tensor | int, decay: float) -> None:
    # All weights at once, and the count is read once, for that waits for the GPU.
    n = int(count)
    torch._foreach_lerp_(old, new, 1 - min(decay, (1 + n) / (10 + n)))
