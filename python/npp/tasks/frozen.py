"""Networks that only judge: the task's own copy, in eval mode and without gradients."""

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
    """Puts a network into eval mode so that gradients can still reach its input on every device.

    cuDNN's backward pass through recurrent layers wants them in training mode. The only other thing that
    mode does to them is dropout, which is set to 0.
    """
    module.eval()
    for submodule in module.modules():
        if isinstance(submodule, nn.RNNBase):
            submodule.dropout = 0.0
            submodule.training = True
    return module


def frozen(module: Module) -> Module:
    """Puts a network into eval mode, takes gradients from its parameters, and returns it."""
    for parameter in evaluation_mode(module).parameters():
        parameter.requires_grad_(False)  # one by one: a module of TorchScript takes no requires_grad_
    return module


def _results(network: nn.Module) -> Iterator[Tensor]:
    """Tensors that a network keeps beside its parameters and that have a history, such as a weight made anew
    from two others in each call, or the attention of the last picture."""
    for submodule in network.modules():
        for value in vars(submodule).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                yield value


@torch.inference_mode(False)
@torch.no_grad()
def private_copy(network: Module) -> Module:
    """A copy that shares no tensor with the network, which stays as it is in every respect.

    Hooks of the network are copied with it, since they may be part of what it computes.

    Raises:
        TypeError: the network cannot be copied.
    """
    # Deep copies of tensors with a history are refused by torch; here their values are all that counts.
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in _results(network)}
    try:
        return copy.deepcopy(network, memo)
    except Exception as error:  # whatever the copying code of somebody else raises
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
    """The dtype of a network's first floating parameter or buffer, or the default if it has none."""
    for values in (*network.parameters(), *network.buffers()):
        if values.is_floating_point():
            return values.dtype
    return default
