"""Pictures that grow to whole blocks, as the codec lets them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def whole_blocks(x: Tensor, block: int) -> Tensor:
    """Repeats the last row and column until both sides are multiples of ``block``.

    Args:
        x: (N, C, H, W).

    Returns:
        (N, C, H', W'), x itself where nothing is missing.
    """
    bottom, right = -x.shape[-2] % block, -x.shape[-1] % block
    if not bottom and not right:
        return x
    return F.pad(x, (0, right, 0, bottom), mode="replicate")
