"""Networks of a picture, and of its qp, as ONNX models, for pictures of any size."""

from __future__ import annotations

import copy
import os
import warnings
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from npp.files import write_file
from npp.torch_defaults import plain_defaults

_NEEDED = ("onnx", "onnxscript")


def extended(x: Tensor, multiple: int) -> Tensor:
    """Pictures (N, C, H, W) whose last row and column are repeated up to a multiple of both sizes.

    No decision depends on the size, which an exporter would take for that of all pictures.
    """
    for dim in (-2, -1):
        size = x.shape[dim]
        places = torch.arange((size + multiple - 1) // multiple * multiple, device=x.device)
        x = x.index_select(dim, places.clamp_max(size - 1))
    return x


class WholePictures(nn.Module):
    """A network from pictures to pictures with the padding before it, and the cropping and clamping behind.

    Args:
        network: takes (N, 3, H, W) in [0, 1] whose sizes are multiples, and perhaps qp (N,).
        multiple: of what the network's sizes must be.
        upscale: how many times as high and wide what it gives is.
    """

    def __init__(self, network: nn.Module, multiple: int, upscale: int = 1) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple
        self.upscale = upscale

    def forward(self, picture: Tensor, qp: Tensor | None = None) -> Tensor:
        """(N, 3, H, W) in [0, 1] of pictures of any size, H and W times ``upscale``."""
        height, width = (self.upscale * side for side in picture.shape[-2:])
        padded = extended(picture, self.multiple)
        output: Tensor = self.network(padded) if qp is None else self.network(padded, qp)
        return output[..., :height, :width].clamp(0, 1)


def write_onnx(
    whole: nn.Module,
    path: str | os.PathLike[str],
    output: str,
    *,
    picture: str = "x",
    takes_qp: bool = True,
) -> None:
    """Writes a network with the inputs picture (N, 3, H, W) and, where it takes one, ``qp`` (N,).

    Args:
        whole: a copy of it is exported, in evaluation mode, float32 and on the CPU.
        path: an existing file is replaced, once the new one is complete.
        output, picture: what the model calls its output and the picture.
        takes_qp: whether there is a second input.

    Raises:
        ImportError: a package is missing.
        OSError: it cannot be written.
    """
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ImportError(f"exporting needs {name}, which is missing: pip install 'npp[onnx]'")
    with warnings.catch_warnings(), plain_defaults():
        # torch's exporter about its own parts, and about the N that both inputs share as they should.
        warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)", FutureWarning)
        warnings.filterwarnings("ignore", "# The axis name: N will not be used", UserWarning)
        inputs = {picture: torch.rand(2, 3, 40, 56)}
        shapes = {picture: {0: "N", 2: "H", 3: "W"}}
        if takes_qp:
            inputs["qp"], shapes["qp"] = torch.tensor([30.0, 40.0]), {0: "N"}
        program = torch.onnx.export(
            copy.deepcopy(whole).cpu().float().eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(shapes.values()),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    write_file(path, program.model_proto.SerializeToString(), force=True)
