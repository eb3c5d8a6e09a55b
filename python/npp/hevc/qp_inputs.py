"""Checks the qp that callers give to a network: a number, or one for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from npp.checks import MAX_QP, brief, fractional_qp
from npp.torch_state import has_readable_values, moved

#: What a network takes as qp, numbers from 0 to 51: one for all pictures, or one for each.
FractionalQp: TypeAlias = float | Sequence[float] | Tensor | npt.NDArray[Any]


def resolve_qps(
    qp: FractionalQp,
    count: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """The qps (count,) that were given as a number, a sequence, an array or a tensor; fractions are allowed.

    A tensor's values are checked where they can be read: not while torch compiles or exports, nor under vmap.

    Raises:
        TypeError: qp is of another type.
        ValueError: a qp is outside 0 to 51, or there is another number of them.
    """
    values = moved(_values(qp).to(dtype), device)
    if values.dim() == 0:
        values = values.expand(count)
    if values.shape != (count,):
        raise ValueError(
            f"qp has the shape {tuple(values.shape)} for {count} picture(s); one each is needed, or a number"
        )
    return values


def _values(qp: Any) -> Tensor:
    if isinstance(qp, Tensor):
        return _checked(qp.detach())
    if isinstance(qp, np.ndarray):
        qp = qp.tolist()
    if isinstance(qp, Sequence) and not isinstance(qp, (str, bytes)):
        return torch.tensor([_number(entry) for entry in qp], dtype=torch.float64, device="cpu")
    return torch.tensor(_number(qp), dtype=torch.float64, device="cpu")


def _number(qp: Any) -> float:
    if isinstance(qp, bool) or not isinstance(qp, Real):
        raise TypeError(f"qp must be a number, or one per picture, not {brief(qp)}")
    return fractional_qp("qp", qp)


def _checked(qp: Tensor) -> Tensor:
    if qp.dtype == torch.bool or qp.is_complex():
        raise TypeError(f"qp must hold numbers, not {qp.dtype}")
    if has_readable_values(qp) and not bool(((qp >= 0) & (qp <= MAX_QP)).all()):
        raise ValueError(f"qp must be a number from 0 to {MAX_QP}, not {brief(qp)}")
    return qp
