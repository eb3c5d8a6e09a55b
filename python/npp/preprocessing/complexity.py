"""What a network costs, without running it."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from npp.preprocessing.network import Network

_SIDE = 1024
_FLOPS_PER_MAC = 2


def count_macs_per_pixel(network: Network) -> float:
    """Multiply-accumulates of convolutions and matrix products for a picture of 1024x1024, by its pixels.

    It is counted on tensors without memory. Activations, norms and element-wise products are left out.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    x = torch.empty(1, 3, _SIDE, _SIDE, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        shadow(x.to(_dtype(shadow)), torch.empty(1, device="meta", dtype=_dtype(shadow)))
    return counter.get_total_flops() / (_FLOPS_PER_MAC * _SIDE * _SIDE) + network.untraced_macs


def _dtype(network: Network) -> torch.dtype:
    parameter = next(network.parameters(), None)
    return torch.float32 if parameter is None else torch.promote_types(parameter.dtype, torch.float32)
