"""What a network costs, in multiply-accumulates a pixel."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_SIDE = 1024
_FLOPS_PER_MAC = 2


def count_macs_per_pixel(network: nn.Module, *, takes_qp: bool = True) -> float:
    """Multiply-accumulates of convolutions and matrix products for a picture of 1024x1024, by its pixels.

    It is counted on tensors without memory. Activations, norms and element-wise products are left out.

    Args:
        network: called with a picture (1, 3, H, W).
        takes_qp: and with a qp (1,).
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    parameter = next(shadow.parameters(), None)
    dtype = torch.float32 if parameter is None else torch.promote_types(parameter.dtype, torch.float32)
    x = torch.empty(1, 3, _SIDE, _SIDE, device="meta", dtype=dtype)
    counter = FlopCounterMode(display=False)
    qp = [torch.empty(1, device="meta", dtype=dtype)] if takes_qp else []
    # With gradients, so that nothing is worked on in parts, whose edges are computed twice.
    with torch.enable_grad(), counter:
        shadow(x, *qp)
    return counter.get_total_flops() / (_FLOPS_PER_MAC * _SIDE * _SIDE)
