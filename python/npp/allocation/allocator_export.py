"""An allocator as an ONNX model."""

from __future__ import annotations

import os

from torch import Tensor, nn

from npp.allocation.allocator_network import AllocatorNetwork, AllocatorSettings, mixed
from npp.allocation.maps import offsets_of
from npp.codec.qp_maps import MAP_BLOCK
from npp.onnx_writing import extended, write_onnx


class _Whole(nn.Module):
    """Padding, network and offsets."""

    def __init__(self, network: AllocatorNetwork, settings: AllocatorSettings) -> None:
        super().__init__()
        self.network = network
        self._settings = settings

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        maps, _ = self.network(extended(x, MAP_BLOCK), qp)
        strength, limit = self._settings.strength, self._settings.limit
        return offsets_of(mixed(maps, self._settings), strength=strength, limit=limit)


def export(network: AllocatorNetwork, settings: AllocatorSettings, path: str | os.PathLike[str]) -> None:
    """Writes an allocator's network as an ONNX model; see :meth:`npp.Allocator.export_onnx`."""
    write_onnx(_Whole(network, settings), path, "qp_map")
