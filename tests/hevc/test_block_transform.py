"""The block DCT and the planes that surrogates and filters share."""

from __future__ import annotations

import torch

from npp.hevc.dct import block_dct, forward_dct, inverse_dct
from npp.hevc.planes import Planes, add_to_planes, split_planes


def test_dct_is_that_of_the_surrogates() -> None:
    plane = torch.rand(2, 1, 24, 16)
    dc, ac = forward_dct(plane, 8)
    expected = block_dct(plane[:, 0], 8).permute(0, 2, 4, 1, 3).flatten(1, 2)
    torch.testing.assert_close(torch.cat([dc, ac], dim=1), expected)
    mean = torch.nn.functional.interpolate(dc / 8, scale_factor=8.0)
    torch.testing.assert_close(inverse_dct(ac, 8) + mean, plane)


def test_planes_change_by_what_is_added() -> None:
    x = torch.rand(1, 3, 16, 24)
    change = Planes(torch.randn(1, 1, 16, 24), torch.randn(1, 1, 8, 12), torch.randn(1, 1, 8, 12))
    before, after = split_planes(x), split_planes(add_to_planes(x, change))
    for old, new, added in zip(before, after, change, strict=True):
        torch.testing.assert_close(new - old, added, atol=1e-5, rtol=0)
