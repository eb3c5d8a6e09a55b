"""A restorer as an ONNX model."""

from __future__ import annotations

import os

from npp.onnx_writing import WholePictures, write_onnx
from npp.restoration.restoring_network import RestoringNetwork


def export(network: RestoringNetwork, path: str | os.PathLike[str]) -> None:
    """Writes a restoring network as an ONNX model; see :meth:`npp.Restorer.export_onnx`."""
    whole = WholePictures(network, network.multiple, network.upscale)
    write_onnx(whole, path, "x_restored", picture="x_hat", takes_qp=False)
