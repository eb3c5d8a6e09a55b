"""What inner layers of a network put out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn


def tensors_of(output: Any, name: str = "output") -> dict[str, Tensor]:
    """Floating tensors of a network's output by name: one tensor, or sequences and dicts of them.

    Raises:
        TypeError: there is none.
    """
    found = dict(_walk(output, name))
    if not found:
        raise TypeError(f"{name} must hold floating tensors, not {type(output).__name__}")
    return found


def _walk(output: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield name, output
    elif isinstance(output, Mapping):
        for key, part in output.items():
            yield from _walk(part, f"{name}.{key}")
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for index, part in enumerate(output):
            yield from _walk(part, f"{name}.{index}")


def check_layers(network: nn.Module, layers: Sequence[str]) -> None:
    """Raises ValueError for a name that is no layer of the network; it tells similar ones."""
    known = [name for name, _ in network.named_modules() if name]
    for layer in layers:
        if layer not in known:
            similar = difflib.get_close_matches(layer, known, n=5, cutoff=0.3) or known[:5]
            raise ValueError(f"layers has {layer!r}, which the network lacks; similar: {', '.join(similar)}")


@contextmanager
def recorded(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Fills the dict with the outputs of these layers while the network runs inside."""
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs[name] = output

        return hook

    with ExitStack() as stack:
        for layer in layers:
            handle = network.get_submodule(layer).register_forward_hook(keep(layer))
            stack.callback(handle.remove)
        yield outputs
