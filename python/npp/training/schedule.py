"""The optimiser, its learning rate, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from npp.training.config import OptimiserConfig


def rate_factor(step: int, config: OptimiserConfig) -> float:
    """Part of the learning rate at a step: a straight rise, then a cosine down to ``final``."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    place = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * place)) / 2


def build_optimiser(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW; single numbers, as biases and scales are, do not decay."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential average of a model's weights; buffers are the model's own.

    Early on it is shorter, so that the first weights do not stay in it for the length of the run:
    after n steps at most (1 + n) / (10 + n) of it is old.
    """

    def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        n = int(count)
        return torch.lerp(new, old, min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, avg_fn=average).requires_grad_(False)
