"""A preprocessor as an ONNX model."""

from __future__ import annotations

import os

from npp.onnx_writing import WholePictures, write_onnx
from npp.preprocessing.filter_network import FilterNetwork


def export(network: FilterNetwork, path: str | os.PathLike[str]) -> None:
    """Writes a filter network as an ONNX model; see :meth:`npp.Preprocessor.export_onnx`."""
    write_onnx(WholePictures(network, network.multiple), path, "x_pre")
