"""Trainings that end without weights to keep."""

from __future__ import annotations

import torch
from torch import nn


class TrainingFailedError(ArithmeticError):
    """A training has led nowhere: there are no weights to keep."""


def check_finite(module: nn.Module, name: str) -> None:
    """Looks for infinite or missing values among weights.

    Raises:
        TrainingFailedError: there are some.
    """
    for parameter in module.parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise TrainingFailedError(
                f"{name} are not finite: a lower optimiser.learning_rate or optimiser.clip may help"
            )
