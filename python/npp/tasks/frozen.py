"""Frozen copies of networks for tasks, in eval mode and without gradients of parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from npp.torch_defaults import plain_defaults

Module = TypeVar("Module", bound=nn.Module)


def evaluation_mode(module: Module) -> Module:
    """Puts a network into eval mode, with gradients to its input on every device.

    cuDNN's backward pass needs recurrent layers in training mode, so they stay in it. Their dropout, the only
    difference between the modes, is set to 0.
    """
    module.eval()
    for submodule in module.modules():
        if isinstance(submodule, nn.RNNBase):
            submodule.dropout = 0.0
            submodule.training = True
    return module


def frozen(module: Module) -> Module:
    """Puts a network into eval mode, turns off gradients of its parameters, and returns it."""
    for parameter in evaluation_mode(module).parameters():
        parameter.requires_grad_(False)  # one by one, for a module of TorchScript has no requires_grad_
    return module


def _results(network: nn.Module) -> Iterator[Tensor]:
    """Tensors with a gradient history that a network keeps besides its parameters.

    Examples are a weight that is computed in each call, and the attention of the last picture."""
    for submodule in network.modules():
        for value in vars(submodule).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                yield value


@torch.inference_mode(False)
@torch.no_grad()
def private_copy(network: Module) -> Module:
    """A copy that shares no tensor with the network; the network is not changed.

    Hooks of the network are copied with it, since they may be part of what it computes.

    Raises:
        TypeError: the network cannot be copied.
    """
    # torch refuses deep copies of tensors with a history; only their values matter here.
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in _results(network)}
    try:
        return copy.deepcopy(network, memo)
    except Exception as error:  # foreign copying code may raise anything
        raise TypeError(
            f"model must be a network that copy.deepcopy can copy, for a task changes its own copy only; "
            f"{type(network).__name__} raises {type(error).__name__}: {error}"
        ) from error


@contextmanager
def plain_torch() -> Iterator[None]:
    """Networks and tables made inside are float32, on the CPU and of use in training, whatever the caller
    has set."""
    with plain_defaults(), torch.inference_mode(False):
        yield


def dtype_of(network: nn.Module, default: torch.dtype = torch.float32) -> torch.dtype:
    """The dtype of a network's first floating parameter or buffer; ``default`` if it has none."""
    for values in (*network.parameters(), *network.buffers()):
        if values.is_floating_point():
            return values.dtype
    return default
