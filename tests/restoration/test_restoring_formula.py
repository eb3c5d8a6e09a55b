"""What a restorer computes, written down once more from its weights: trained ones rest on every constant."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from npp.restoration import Restorer


def _beside(x: Tensor, side: int) -> Tensor:
    """Pixels of squares of that side as channels: those of a colour follow each other, row by row."""
    shifted = [x[:, :, i::side, j::side] for i in range(side) for j in range(side)]
    return torch.stack(shifted, 2).flatten(1, 2)


def _apart(x: Tensor) -> Tensor:
    """The opposite, with squares of 2x2."""
    count, channels, height, width = x.shape
    found = x.new_empty(count, channels // 4, 2 * height, 2 * width)
    for at in range(4):
        found[:, :, at // 2 :: 2, at % 2 :: 2] = x[:, at::4]
    return found


def _restored(weights: dict[str, Tensor], x: Tensor, depth: int, upscale: int) -> Tensor:
    def conv(name: str, x: Tensor, **more: int) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **more)

    edges = F.silu(conv("edges", _beside(x - 0.5, 2 // upscale), padding=1))
    features = conv("down", edges, stride=2)
    seen = F.silu(features).mean((2, 3))
    for i in range(depth):
        name = f"blocks.{i}"
        by_picture = seen @ weights[f"{name}.by_picture.weight"].T + weights[f"{name}.by_picture.bias"]
        scale, shift = by_picture[:, :, None, None].split(by_picture.shape[1] // 2, 1)
        inner = conv(f"{name}.first", features, padding=1)
        features = features + conv(f"{name}.second", F.silu(inner + scale * inner + shift), padding=1)
    up = F.conv_transpose2d(features, weights["up.weight"], weights["up.bias"], stride=2)
    change = _apart(conv("last", F.silu(conv("together", edges + up, padding=1)), padding=1))
    large = x if upscale == 1 else F.interpolate(x, scale_factor=2, mode="bicubic")
    return (large + 0.1 * change).clamp(0, 1)


@pytest.mark.parametrize("upscale", [1, 2])
def test_it_is_the_formula(upscale: int) -> None:
    torch.manual_seed(2)
    restorer = Restorer(width=12, depth=2, edge_width=6, upscale=upscale).double().eval()
    for parameter in restorer.parameters():
        parameter.detach().add_(0.2 * torch.randn_like(parameter))
    x = torch.rand(2, 3, 24, 32, dtype=torch.float64)
    with torch.no_grad():
        found = restorer(x)
        wanted = _restored(restorer.network.state_dict(), x, depth=2, upscale=upscale)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    assert ((found > 0) & (found < 1)).double().mean() > 0.5, "clamping hides little"
