"""Padding of pictures to whole blocks by repeating their edges, as the codec does it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def whole_blocks(x: Tensor, block: int) -> Tensor:
    """Repeats the last row and column until both sides are multiples of ``block``.

    Args:
        x: (N, C, H, W).
        block: of what the sizes become multiples.

    Returns:
        (N, C, H', W'), x itself where nothing is missing.
    """
    # Not -side % block, of which torch.compile makes a size that it takes for negative.
    bottom, right = (block - 1 - (side - 1) % block for side in x.shape[-2:])
    if not bottom and not right:
        return x
    return F.pad(x, (0, right, 0, bottom), mode="replicate")


def whole_blocks_of_any_size(x: Tensor, block: int) -> Tensor:
    """Pads like :func:`whole_blocks`, for models that are exported with sizes left open.

    It takes no decision that depends on the size, which an exporter would take for that of all pictures.
    Everywhere else :func:`whole_blocks` is faster, and copies nothing where nothing is missing.

    Args:
        x: (N, C, H, W).
        block: of what the sizes become multiples.

    Returns:
        (N, C, H', W').
    """
    for dim in (-2, -1):
        size = x.shape[dim]
        places = torch.arange((size + block - 1) // block * block, device=x.device)
        x = x.index_select(dim, places.clamp_max(size - 1))
    return x


class WholePictures(nn.Module):
    """A network from pictures to pictures, with padding before it and cropping and clamping behind.

    Args:
        network: takes (N, 3, H, W) in [0, 1] whose sizes are multiples, and perhaps qp (N,).
        multiple: of which the network needs both sizes to be multiples.
        upscale: the factor by which its output is higher and wider than its input.
    """

    def __init__(self, network: nn.Module, multiple: int, upscale: int = 1) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple
        self.upscale = upscale

    def forward(self, picture: Tensor, qp: Tensor | None = None) -> Tensor:
        """Runs the network on pictures of any size.

        Args:
            picture: (N, 3, H, W) in [0, 1].
            qp: (N,), for a network that takes it.

        Returns:
            (N, 3, H * upscale, W * upscale) in [0, 1].
        """
        height, width = (self.upscale * side for side in picture.shape[-2:])
        padded = whole_blocks_of_any_size(picture, self.multiple)
        output: Tensor = self.network(padded) if qp is None else self.network(padded, qp)
        return output[..., :height, :width].clamp(0, 1)
