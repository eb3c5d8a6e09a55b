"""The first layers of an allocator work on large pictures a band of rows at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from npp.allocation import allocator_network
from npp.allocation import trunk as layers
from npp.allocation.allocator_network import AllocatorNetwork, AllocatorSettings, block_statistics
from npp.allocation.trunk import Trunk


@pytest.fixture
def trunk() -> Trunk:
    torch.manual_seed(0)
    return Trunk().double()


def pictures(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, dtype=torch.float64)


@pytest.mark.parametrize("band", [1, 5000, 40_000])
@pytest.mark.parametrize("size", [(1, 208, 48), (3, 16, 16), (5, 64, 32)])
def test_bands_give_what_the_whole_gives(
    size: tuple[int, int, int], band: int, trunk: Trunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = pictures(*size)
    whole = trunk(x)
    assert whole.requires_grad  # so nothing was cut
    monkeypatch.setattr(layers, "_BAND", band)
    with torch.no_grad():
        torch.testing.assert_close(trunk(x), whole.detach(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [(1, 512, 64), (32, 32, 32)])
def test_wide_features_of_many_or_large_pictures_are_never_whole(
    size: tuple[int, int, int], trunk: Trunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = trunk.first.padded

    def padded(x: Tensor, above: int, below: int) -> Tensor:
        features = original(x, above, below)
        sizes.append(features.numel())
        return features

    monkeypatch.setattr(trunk.first, "padded", padded)
    for bottle in trunk.bottles:
        bottle.project.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].numel()))
    x = pictures(*size)
    trunk(x)
    whole = max(sizes)
    sizes.clear()
    monkeypatch.setattr(layers, "_BAND", 30_000)
    with torch.no_grad():
        trunk(x)
    assert max(sizes) <= 60_000 < whole


def test_statistics_of_blocks_in_bands_are_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 3, 112, 64)
    monkeypatch.setattr(allocator_network, "_BAND", 5000)
    network = AllocatorNetwork(AllocatorSettings(width=8, depth=1))
    shapes: list[torch.Size] = []

    def counted(band: Tensor) -> Tensor:
        shapes.append(band.shape)
        return block_statistics(band)

    monkeypatch.setattr(allocator_network, "block_statistics", counted)
    with torch.no_grad():
        _, statistics = network.seen(x)
    assert torch.equal(statistics, block_statistics(x))
    assert [shape[2] for shape in shapes] == [32, 32, 32, 16]
