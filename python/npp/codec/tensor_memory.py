"""Tensors that callers give, as the codec reads them: in memory that numpy can have."""

from __future__ import annotations

import torch
from torch import Tensor

from npp._bpg import UnsupportedError
from npp.torch_state import in_transform, why_without_values


def why_without_pixels(x: Tensor) -> str | None:
    """Why the codec can read nothing of a tensor, whatever wraps it; None where it can."""
    if torch.compiler.is_dynamo_compiling():
        return None  # its tensors stand for those that the graph will get
    if x.is_nested:
        return "nested"
    return why_without_values(x) or (None if x.layout == torch.strided else f"of layout {x.layout}")


def _why_without_memory(x: Tensor) -> str | None:
    """Why a tensor's values are not in memory, within a transform of torch.func too; None where they are."""
    if (why := why_without_pixels(x)) is not None or not in_transform():
        return why
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(x.detach())
    return "within a transform of torch.func" if wrapped else None


def in_memory(x: Tensor, name: str, what: str = "values") -> Tensor:
    """A tensor without its gradient in the memory of the CPU, of any strides.

    Args:
        x: of any shape, dtype and device.
        name: what messages call it.
        what: what the codec needs of it.

    Raises:
        UnsupportedError: nested, sparse, traced, on the device meta or within a transform of torch.func.
    """
    if (why := _why_without_memory(x)) is not None:
        raise UnsupportedError(f"{name} is {why}, and the codec needs {what} in memory")
    return x.detach().cpu().resolve_neg()
