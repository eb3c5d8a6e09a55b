"""Folding of batch norm into the convolutions before it, which saves passes over memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node, Tracer
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Tracer(Tracer):
    """A tracer that does not look inside convolutions, including subclasses with their own padding."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step of the graph."""
        return isinstance(m, _CONVOLUTIONS) or super().is_leaf_module(m, module_qualified_name)


def _pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Pairs of names: a convolution that feeds nothing but a norm, and that norm; both run once."""
    nodes = _Tracer().trace(network).nodes if not isinstance(network, GraphModule) else network.graph.nodes
    calls = [node for node in nodes if node.op == "call_module"]
    names = [node.target for node in calls]

    def module_of(node: Node) -> nn.Module | None:
        return network.get_submodule(str(node.target)) if names.count(node.target) == 1 else None

    pairs = []
    for norm in calls:
        before: Any = norm.args[0] if norm.args else None
        if before not in calls or len(before.users) > 1:
            continue
        # A subclass of a norm may do more than normalise, such as those of timm with an activation inside.
        if type(module_of(norm)) in _NORMS and isinstance(module_of(before), _CONVOLUTIONS):
            pairs.append((str(before.target), str(norm.target)))
    return pairs


@torch.no_grad()
def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Folds batch norm in place and returns the network, which cannot be trained any more.

    A network that cannot be traced, because its path depends on the picture, is not changed.

    Args:
        network: any network in evaluation mode, with final running statistics.
    """
    network.eval()
    try:
        pairs = _pairs(network)
    except Exception:  # tracing runs foreign code, which may raise anything
        return network
    for convolution, norm in pairs:
        pair: Any = network.get_submodule(convolution), network.get_submodule(norm)
        network.set_submodule(convolution, fuse_conv_bn_eval(*pair))
        network.set_submodule(norm, nn.Identity())
    return network


def for_judging(network: nn.Module) -> nn.Module:
    """The network prepared for inference: batch norm is folded, and the memory format is channels last.

    Channels last is faster on a CPU."""
    return fold_batch_norm(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
