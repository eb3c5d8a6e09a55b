"""What every filter network is, how it is told the qp, and what it costs."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from npp.torch_state import has_readable_values

_MAX_QP = 51


def resolve_qps(
    qp: int | Sequence[int | float] | Tensor, count: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(count,) from a number, a sequence or a tensor. Fractions are allowed.

    A tensor's values are checked where they can be seen: not while torch compiles or exports, nor under vmap.

    Raises:
        TypeError: of another type.
        ValueError: outside 0 to 51, or another number of them.
    """
    values = _values(qp).to(device=device, dtype=dtype)
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
    if isinstance(qp, Sequence) and not isinstance(qp, (str, bytes)):
        return torch.tensor([_number(entry) for entry in qp], dtype=torch.float64, device="cpu")
    return torch.tensor(_number(qp), dtype=torch.float64, device="cpu")


def _number(qp: Any) -> float:
    if isinstance(qp, bool) or not isinstance(qp, Real):
        raise TypeError(f"qp must be a number, or one per picture, not {qp!r}")
    if not 0 <= float(qp) <= _MAX_QP:
        raise ValueError(f"qp must be from 0 to {_MAX_QP}, not {qp!r}")
    return float(qp)


def _checked(qp: Tensor) -> Tensor:
    if qp.dtype == torch.bool or qp.is_complex():
        raise TypeError(f"qp must hold numbers, not {qp.dtype}")
    if has_readable_values(qp) and not bool(((qp >= 0) & (qp <= _MAX_QP)).all()):
        raise ValueError(f"qp must be from 0 to {_MAX_QP}, not {qp!r}")
    return qp


class FilterNetwork(nn.Module, ABC):
    """Maps pictures to pictures of the same size. It has no wishes beyond its multiple.

    Attributes:
        multiple: heights and widths must be multiples of this.
        untraced_macs: multiply-accumulates a pixel that are no convolutions or matrix products.
    """

    multiple: int = 1
    untraced_macs: float = 0.0

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All settings, defaults filled in; enough to build it again."""

    @abstractmethod
    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        """Filters pictures.

        Args:
            x: (N, 3, H, W), float32 or float64, sizes multiples of :attr:`multiple`.
            qp: (N,) BPG qp, of x's dtype and device.

        Returns:
            The shape and dtype of x; values may leave [0, 1].
        """


_SIDE = 1024
_FLOPS_PER_MAC = 2


def count_macs_per_pixel(network: FilterNetwork) -> float:
    """Multiply-accumulates of convolutions and matrix products for a picture of 1024x1024, by its pixels.

    It is counted on tensors without memory. Activations, norms and element-wise products are left out.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    x = torch.empty(1, 3, _SIDE, _SIDE, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shadow(x.to(_dtype(shadow)), torch.empty(1, device="meta", dtype=_dtype(shadow)))
    return counter.get_total_flops() / (_FLOPS_PER_MAC * _SIDE * _SIDE) + network.untraced_macs


def _dtype(network: FilterNetwork) -> torch.dtype:
    parameter = next(network.parameters(), None)
    return torch.float32 if parameter is None else torch.promote_types(parameter.dtype, torch.float32)
