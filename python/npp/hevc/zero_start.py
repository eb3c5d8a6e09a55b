"""The start of a network's last layer at zero, so that it changes nothing until it is trained."""

from __future__ import annotations

from torch import nn


def start_at_zero(layer: nn.Linear | nn.Conv2d) -> None:
    """Sets all parameters of a layer to 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
