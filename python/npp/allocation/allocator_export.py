"""An allocator as an ONNX model."""

from __future__ import annotations

import copy
import os
import warnings
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from npp.allocation.allocator_network import AllocatorNetwork, AllocatorSettings, mixed
from npp.allocation.maps import offsets_of
from npp.codec.qp_maps import MAP_BLOCK
from npp.files import write_file

_NEEDED = ("onnx", "onnxscript")


class _Whole(nn.Module):
    """Padding, network and offsets, without a decision that depends on the size."""

    def __init__(self, network: AllocatorNetwork, settings: AllocatorSettings) -> None:
        super().__init__()
        self.network = network
        self._settings = settings

    def forward(self, x: Tensor, qp: Tensor) -> Tensor:
        maps, _ = self.network(self._extend(self._extend(x, -2), -1), qp)
        strength, limit = self._settings.strength, self._settings.limit
        return offsets_of(mixed(maps, self._settings), strength=strength, limit=limit)

    @staticmethod
    def _extend(x: Tensor, dim: int) -> Tensor:
        size = x.shape[dim]
        places = torch.arange((size + MAP_BLOCK - 1) // MAP_BLOCK * MAP_BLOCK, device=x.device)
        return x.index_select(dim, places.clamp_max(size - 1))


def export(network: AllocatorNetwork, settings: AllocatorSettings, path: str | os.PathLike[str]) -> None:
    """See :meth:`npp.Allocator.export_onnx`."""
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ImportError(f"exporting needs {name}, which is missing: pip install 'npp[onnx]'")
    program = _export(_Whole(copy.deepcopy(network).cpu().float(), settings).eval())
    write_file(path, program.model_proto.SerializeToString(), force=True)


def _export(whole: _Whole) -> torch.onnx.ONNXProgram:
    sizes = {0: "N", 2: "H", 3: "W"}
    with warnings.catch_warnings():
        # torch's exporter about its own parts, and about the N that both inputs share as they should.
        warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)", FutureWarning)
        warnings.filterwarnings("ignore", "# The axis name: N will not be used", UserWarning)
        program = torch.onnx.export(
            whole,
            (torch.rand(2, 3, 40, 56, dtype=torch.float32), torch.tensor([30, 40], dtype=torch.float32)),
            input_names=["x", "qp"],
            output_names=["qp_map"],
            dynamic_shapes={"x": sizes, "qp": {0: "N"}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program
