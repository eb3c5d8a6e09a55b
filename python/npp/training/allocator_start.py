"""The allocator that a training begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from npp.allocation import Allocator
from npp.allocation.trunk import Trunk
from npp.config.typed import refusal
from npp.config.yaml_files import ConfigError
from npp.tasks.networks import load_raw
from npp.training.allocator_config import AllocatorStartConfig

_TRUNK_OF = "efficientnet-lite0"


def load_trunk(trunk: Trunk) -> None:
    """Gives a trunk the weights of EfficientNet-Lite0's first layers, whose shape it has.

    Raises:
        ModuleNotFoundError: the package with the weights is missing; the message tells what to install.
    """
    network, _ = load_raw(_TRUNK_OF)
    theirs = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    ours = (layer for layer in trunk.modules() if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        for own, other in zip(ours, theirs, strict=False):
            own.weight.copy_(other.weight)
            own.bias.copy_(other.bias)  # type: ignore[union-attr,arg-type]


def with_heads(allocator: Allocator, heads: Sequence[str]) -> Allocator:
    """A copy of an allocator with other heads: heads it has are kept, and new ones start at 0."""
    before, now = allocator.settings, replace(allocator.settings, heads=tuple(heads), mix=None)
    other = Allocator(**now.as_mapping())
    known = [name for name in now.heads if name in before.heads]
    old = [before.heads.index(name) for name in known]
    new = [now.heads.index(name) for name in known]
    state, target = allocator.network.state_dict(), other.network.state_dict()
    for name, tensor in state.items():
        target[name] = _moved(name, tensor, target[name], old, new)
    other.network.load_state_dict(target)
    return other


def _moved(name: str, tensor: Tensor, target: Tensor, old: list[int], new: list[int]) -> Tensor:
    """Moves a tensor's rows of heads to their new places, and the columns of heads in the level's layer."""
    if not name.startswith(("leave.", "level.")):
        return tensor
    result = target.clone()
    if name == "level.weight":
        inputs = tensor.shape[1] - tensor.shape[0]
        columns = torch.tensor([*range(inputs), *(inputs + place for place in old)])
        places = torch.tensor([*range(inputs), *(inputs + place for place in new)])
        result[torch.tensor(new, dtype=torch.int64)[:, None], places] = tensor[old][:, columns]
    else:
        result[new] = tensor[old]
    return result


def build_start(chosen: AllocatorStartConfig, heads: Sequence[str], seed: int) -> Allocator:
    """Builds the network of a configuration as it is before it has learned from the labels.

    Raises:
        ConfigError: an unknown setting, or no such weights.
        ModuleNotFoundError: the package with the trunk's weights is missing.
    """
    torch.manual_seed(seed)
    try:
        if chosen.start is not None:
            return with_heads(Allocator.load(chosen.start), heads)
        allocator = Allocator(**chosen.settings, heads=tuple(heads))
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(f"allocator: {refusal(error, chosen)}") from None
    if chosen.trunk is not None:
        load_trunk(allocator.network.trunk)
    return allocator
