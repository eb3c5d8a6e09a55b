"""Builds the optimiser and the schedule of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from npp.training.train_config import OptimiserConfig


def rate_factor(step: int, config: OptimiserConfig) -> float:
    """The factor of the learning rate at a step: a straight rise, then a cosine down to ``final``."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2


def build_optimiser(parts: Sequence[tuple[nn.Module, float]], config: OptimiserConfig) -> torch.optim.AdamW:
    """Builds AdamW; weights that are single numbers, as biases and scales, do not decay.

    Args:
        parts: the modules that are trained, each with its share of the learning rate.
        config: learning rate and weight decay.
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
    """Builds a schedule of a warm-up and a cosine over all steps of the configuration."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, config))


def set_rates(
    schedule: torch.optim.lr_scheduler.LambdaLR,
    config: OptimiserConfig,
    step: int,
    rates: Sequence[float] | None = None,
) -> None:
    """Sets the learning rates and the decay of a schedule's optimiser to those of a configuration at a step.

    A run that is resumed with more steps is then on the longer run's cosine from its first step on.

    Args:
        schedule: the schedule, which is changed with its optimiser.
        config: has the rates and the decay.
        step: the step that the run is at.
        rates: the highest learning rate of each group of the optimiser; by default the configuration's.
    """
    groups = schedule.optimizer.param_groups
    schedule.base_lrs = list(rates or [config.learning_rate for _ in groups])
    for group, rate in zip(groups, schedule.base_lrs, strict=True):
        group["initial_lr"] = rate
        group["lr"] = rate * rate_factor(step, config)
        if group["weight_decay"]:
            group["weight_decay"] = config.weight_decay
