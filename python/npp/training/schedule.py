"""The optimiser and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from npp.training.train_config import OptimiserConfig


def rate_factor(step: int, config: OptimiserConfig) -> float:
    """Part of the learning rate at a step: a straight rise, then a cosine down to ``final``."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2


def build_optimiser(parts: Sequence[tuple[nn.Module, float]], config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW; single numbers, as biases and scales are, do not decay.

    Args:
        parts: what is trained, with the share of the learning rate that each has.
        config: the rest.
    """
    groups = []
    for part, rate in parts:
        trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
        for decay, weights in (
            (config.weight_decay, [p for p in trained if p.ndim > 1]),
            (0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if weights:
                groups.append({"params": weights, "weight_decay": decay, "lr": config.learning_rate * rate})
    return torch.optim.AdamW(groups)


def build_schedule(
    optimiser: torch.optim.Optimizer, config: OptimiserConfig
) -> torch.optim.lr_scheduler.LambdaLR:
    """A warm-up and a cosine over all steps of the configuration."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, config))


def set_rates(
    schedule: torch.optim.lr_scheduler.LambdaLR,
    config: OptimiserConfig,
    step: int,
    rates: Sequence[float] | None = None,
) -> None:
    """Gives a schedule and its optimiser the learning rates and the decay that a configuration has at a step.

    A run that goes on with more steps is then on the longer run's cosine from its first step on.

    Args:
        schedule: what is changed.
        config: whose rates and decay.
        step: where the run is.
        rates: of each group of the optimiser the highest learning rate; the configuration's by default.
    """
    groups = schedule.optimizer.param_groups
    schedule.base_lrs = list(rates or [config.learning_rate for _ in groups])
    for group, rate in zip(groups, schedule.base_lrs, strict=True):
        group["initial_lr"] = rate
        group["lr"] = rate * rate_factor(step, config)
        if group["weight_decay"]:
            group["weight_decay"] = config.weight_decay
