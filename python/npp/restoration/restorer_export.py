"""A restorer as an ONNX model."""

from __future__ import annotations

import os

from torch import Tensor, nn

from npp.onnx_writing import extended, write_onnx
from npp.restoration.restoring_network import RestoringNetwork


class _Whole(nn.Module):
    """Padding, network, cropping and clamping."""

    def __init__(self, network: RestoringNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_hat: Tensor) -> Tensor:
        height, width = x_hat.shape[-2:]
        restored: Tensor = self.network(extended(x_hat, self.network.multiple))
        return restored[..., :height, :width].clamp(0, 1)


def export(network: RestoringNetwork, path: str | os.PathLike[str]) -> None:
    """See :meth:`npp.Restorer.export_onnx`."""
    write_onnx(_Whole(network), path, "x_restored", picture="x_hat", takes_qp=False)
