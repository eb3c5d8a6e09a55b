"""Layers of a network by name, and recording of their outputs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import nn

from npp.tasks.nested_outputs import mapped

_PREPARATION = "network."  # the wrapper that load_network puts around a network


def full_names(network: nn.Module, layers: Sequence[str]) -> list[str]:
    """Full names of layers, which may be given with or without the wrapper around the network.

    Raises:
        ValueError: a name is no layer of the network (the message suggests similar ones), or a layer of
            TorchScript, whose outputs cannot be recorded.
    """
    modules = dict(network.named_modules())
    all_names = [name for name in modules if name]
    resolved = []
    for requested in layers:
        candidates = (requested, f"{_PREPARATION}{requested}", requested.removeprefix(_PREPARATION))
        layer = next((name for name in candidates if name in all_names), requested)
        if layer not in all_names:
            similar = difflib.get_close_matches(layer, all_names, n=5, cutoff=0.3) or all_names[:5]
            raise ValueError(f"layers has {layer!r}, which the network lacks; similar: {', '.join(similar)}")
        if isinstance(modules[layer], torch.jit.ScriptModule):
            raise ValueError(f"layers has {layer!r}, a module of TorchScript: what it gives cannot be seen")
        resolved.append(layer)
    return resolved


def attribute_at(network: Any, path: str) -> Any:
    """The attribute at a dotted path such as ``roi_heads.box_predictor``; ``None`` if there is none."""
    for name in path.split("."):
        network = getattr(network, name, None)
    return network


@contextmanager
def recorded(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Collects the outputs of these layers, call by call, while the network runs in this thread.

    Later layers that work in place do not change the collected outputs.
    """
    outputs: dict[str, list[Any]] = {layer: [] for layer in layers}
    mine = get_ident()

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if get_ident() == mine:
                outputs[name].append(mapped(output, lambda tensor: tensor.clone()))

        return hook

    with ExitStack() as stack:
        for layer in layers:
            handle = network.get_submodule(layer).register_forward_hook(keep(layer))
            stack.callback(handle.remove)
        yield outputs
