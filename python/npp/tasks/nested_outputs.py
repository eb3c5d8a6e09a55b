"""Tensors within what a network gives: one alone, or sequences, dicts and dataclasses of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from npp.checks import kind_of


def tensors_of(output: Any, name: str = "output") -> dict[str, Tensor]:
    """Floating tensors of a network's output by name: one tensor, or sequences, dicts, dataclasses of them.

    Raises:
        TypeError: there is none.
    """
    found = dict(floats_within(output, name))
    if not found:
        given = f"a tensor of {output.dtype}" if isinstance(output, Tensor) else kind_of(output)
        raise TypeError(f"{name} must hold floating tensors, not {given}")
    return found


def mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What a network gave with each tensor changed; mappings become dicts, lists and tuples lists.

    What is none of these is left as it is.
    """
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return {name: mapped(part, change) for name, part in output.items()}
    if isinstance(output, (list, tuple)):
        return [mapped(part, change) for part in output]
    return output


def floats_within(output: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Its floating tensors with their names, none where there are none."""
    output = _fields(output)
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield name, output
    elif isinstance(output, Mapping):
        for key, part in output.items():
            yield from floats_within(part, f"{name}.{key}")
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for index, part in enumerate(output):
            yield from floats_within(part, f"{name}.{index}")


def _fields(output: Any) -> Any:
    """A dataclass that is no mapping, as those of transformers are, by its fields; all else as it is."""
    if not dataclasses.is_dataclass(output) or isinstance(output, (type, Mapping)):
        return output
    return {field.name: getattr(output, field.name, None) for field in dataclasses.fields(output)}
