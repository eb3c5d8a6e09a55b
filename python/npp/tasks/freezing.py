"""A network that only judges: weights and statistics stay as they are."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def evaluation_mode(module: Module) -> Module:
    """Puts a network into eval mode so that gradients can still reach its input on every device.

    cuDNN's backward pass through recurrent layers wants them in training mode. The only other thing that
    mode does to them is dropout, which is set to 0.
    """
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part.dropout = 0.0
            part.training = True
    return module


def frozen(module: Module) -> Module:
    """The same network in eval mode, its parameters without gradients."""
    return evaluation_mode(module).requires_grad_(False)
