"""How results look in a notebook: shapes and sizes, where a NamedTuple would print every byte."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from npp.checks import brief
from npp.torch_state import has_readable_values

_FEW = 8  # numbers that are shown instead of a shape


def result_repr(name: str, fields: dict[str, Any]) -> str:
    """The ``repr`` of a result.

    Args:
        name: the name of its class.
        fields: its values by their names: tensors are shown by shape and type, a few numbers by their values,
            files by their lengths.
    """
    return f"{name}({', '.join(f'{field}={_value_repr(value)}' for field, value in fields.items())})"


def _value_repr(value: Any) -> str:
    if isinstance(value, Tensor):
        return _tensor_repr(value)
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(_value_repr, value[:_FEW]))
        return f"[{shown}, ... {len(value)} in all]" if len(value) > _FEW else f"[{shown}]"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return "None" if value is None else brief(value)


def _tensor_repr(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.dim() == 1 and len(tensor) <= _FEW and has_readable_values(tensor):
        return f"{[round(value, 4) for value in tensor.tolist()]}"
    return f"{tuple(tensor.shape)} {kind}"
