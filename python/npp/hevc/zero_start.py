"""How the last layers of filters and maps begin: so that nothing is changed until they are trained."""

from __future__ import annotations

from torch import nn


def start_at_zero(layer: nn.Linear | nn.Conv2d) -> None:
    """Sets all of its parameters to 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
