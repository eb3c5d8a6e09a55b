"""A preprocessor as an ONNX model."""

from __future__ import annotations

import os

from torch import Tensor, nn

from npp.onnx_writing import extended, write_onnx
from npp.preprocessing.filter_network import FilterNetwork


class _Whole(nn.Module):
    """Padding, network, cropping and clamping."""

    def __init__(self, network: FilterNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        filtered: Tensor = self.network(extended(x, self.network.multiple), qp)
        return filtered[..., :height, :width].clamp(0, 1)


def export(network: FilterNetwork, path: str | os.PathLike[str]) -> None:
    """See :meth:`npp.Preprocessor.export_onnx`."""
    write_onnx(_Whole(network), path, "x_pre")
