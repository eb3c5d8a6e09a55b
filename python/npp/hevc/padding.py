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
    # Not -side % block, of which torch.compile makes a size that it takes for negative.
    bottom, right = (block - 1 - (side - 1) % block for side in x.shape[-2:])
    if not bottom and not right:
        return x
    return F.pad(x, (0, right, 0, bottom), mode="replicate")
