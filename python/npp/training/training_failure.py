"""The error of a training that ends without weights to keep."""

from __future__ import annotations

import torch
from torch import nn


class TrainingFailedError(ArithmeticError):
    """A training has failed: it has no weights that are worth keeping."""


def check_weights_finite(module: nn.Module, name: str) -> None:
    """Raises TrainingFailedError unless all weights of a module are finite; ``name`` is for the message."""
    for parameter in module.parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise TrainingFailedError(
                f"{name} are not finite: a lower optimiser.learning_rate or optimiser.clip may help"
            )
