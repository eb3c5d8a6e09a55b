"""Tensors in outputs of networks: a single one, or sequences, dicts and dataclasses of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from npp.checks import kind_of


def tensors_of(output: Any, name: str = "output") -> dict[str, Tensor]:
    """Floating tensors of a network's output by name: one tensor, or sequences, dicts, dataclasses of them.

    Raises:
        TypeError: the output has no such tensor.
    """
    tensors = dict(floats_within(output, name))
    if not tensors:
        description = f"a tensor of {output.dtype}" if isinstance(output, Tensor) else kind_of(output)
        raise TypeError(f"{name} must hold floating tensors, not {description}")
    return tensors


def mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A network's output with ``change`` applied to each tensor; mappings become dicts, sequences lists.

    Other values are not changed.
    """
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return {name: mapped(item, change) for name, item in output.items()}
    if isinstance(output, (list, tuple)):
        return [mapped(item, change) for item in output]
    return output


def floats_within(output: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Floating tensors of a network's output with their names, if there are any."""
    output = _fields(output)
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield name, output
    elif isinstance(output, Mapping):
        for key, item in output.items():
            yield from floats_within(item, f"{name}.{key}")
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for index, item in enumerate(output):
            yield from floats_within(item, f"{name}.{index}")


def _fields(output: Any) -> Any:
    """A dataclass as a dict of its fields; mappings, such as outputs of transformers, are not changed."""
    if not dataclasses.is_dataclass(output) or isinstance(output, (type, Mapping)):
        return output
    return {field.name: getattr(output, field.name, None) for field in dataclasses.fields(output)}
