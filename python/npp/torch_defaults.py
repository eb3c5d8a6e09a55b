"""torch's default dtype and default device as they are where nobody has set others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch


def cpu_by_default(beside: object = None) -> AbstractContextManager[Any]:
    """Within it new tensors are on the CPU, whatever default device the caller has set.

    For other people's code and for much at once; a single tensor is given its device instead.

    Args:
        beside: where this is a tensor of another device, the caller's default stays.
    """
    elsewhere = isinstance(beside, torch.Tensor) and beside.device.type != "cpu"
    # Nothing is entered without need: torch.as_tensor would take tensors of other devices to the CPU.
    if elsewhere or torch.empty(0).device.type == "cpu":
        return nullcontext()
    return torch.device("cpu")


@contextmanager
def plain_defaults() -> Iterator[None]:
    """Within it new tensors are float32 and on the CPU, whatever the caller has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with cpu_by_default():
            yield
    finally:
        torch.set_default_dtype(before)
