"""What the preprocessor does to pictures, to look at."""

from __future__ import annotations

import torch
from torch import Tensor

_GAP = 4
_GAIN = 8


def strip(x: Tensor, x_pre: Tensor, x_hat: Tensor) -> Tensor:
    """Original, preprocessed, decoded, and the preprocessor's change eight times on gray; a row a picture.

    Args:
        x, x_pre, x_hat: (N, 3, H, W) in [0, 1].

    Returns:
        (3, N (H + 4), 4 (W + 4)) in [0, 1].
    """
    change = 0.5 + _GAIN * (x_pre - x)
    columns = [
        torch.nn.functional.pad(one, (0, _GAP, 0, _GAP), value=1.0) for one in (x, x_pre, x_hat, change)
    ]
    return torch.cat(list(torch.cat(columns, 3)), 1).clamp(0, 1)
