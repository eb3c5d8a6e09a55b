"""An allocator in torch.export, with sides that are free but for being multiples of 16."""

from __future__ import annotations

import torch
from recipe_files import made_recipe
from torch import Tensor, nn
from torch.export import Dim, export


class _Map(nn.Module):
    def __init__(self, allocator: nn.Module) -> None:
        super().__init__()
        self.allocator = allocator

    def forward(self, x: Tensor) -> Tensor:
        return self.allocator(x, 30)  # type: ignore[no-any-return]


def test_sides_may_be_any_multiples_of_16() -> None:
    allocator = made_recipe().allocator
    assert allocator is not None
    free = {0: Dim("n"), 2: 16 * Dim("h", min=2, max=512), 3: 16 * Dim("w", min=2, max=512)}
    exported = export(_Map(allocator), (torch.rand(2, 3, 64, 96),), dynamic_shapes=(free,)).module()
    with torch.no_grad():
        for size in ((3, 3, 48, 80), (1, 3, 128, 32)):
            x = torch.rand(size)
            torch.testing.assert_close(exported(x), allocator(x, 30), atol=1e-4, rtol=1e-4)
