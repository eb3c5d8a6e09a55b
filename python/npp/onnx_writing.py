"""Writes networks of a picture, and of its qp, as ONNX models for pictures of any size."""

from __future__ import annotations

import copy
import os
import warnings

import torch
from torch import nn

from npp.extras import need
from npp.files import write_file
from npp.torch_defaults import plain_defaults


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
        MissingPackageError: a package is missing. It is an ImportError.
        OSError: it cannot be written.
    """
    need("exporting", "onnx", "onnxscript", install="'npp[onnx]'")
    with warnings.catch_warnings(), plain_defaults():
        # torch's exporter warns about its own parts, and about the N that both inputs share on purpose.
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
