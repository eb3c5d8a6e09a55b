"""Networks from ONNX files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from npp.tasks.folding import for_judging
from npp.tasks.frozen import plain_torch
from npp.tasks.input_format import InputFormat
from npp.tasks.optional_packages import require


class OneByOne(nn.Module):
    """Runs a network whose graph is fixed to batches of one on any batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """Outputs of the pictures (N, ...), joined along the batch."""
        outputs = [self.network(image[None]) for image in images]
        if isinstance(outputs[0], Tensor):
            return torch.cat(outputs)
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))


class _Slice(nn.Module):
    """ONNX's Slice; that of onnx2torch 1.5 indexes with a list, which torch is about to understand
    otherwise, and warns of it."""

    def forward(
        self, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
    ) -> Tensor:
        """The part of ``x``; a negative step runs backwards."""
        firsts, lasts = starts.tolist(), ends.tolist()
        places = range(len(firsts)) if axes is None else axes.tolist()
        strides = [1] * len(firsts) if steps is None else steps.tolist()
        for first, last, place, stride in zip(firsts, lasts, places, strides, strict=True):
            if stride < 0:
                x, first, last, stride = x.flip(place), -first - 1, -last - 1, -stride
            index: list[Any] = [slice(None)] * x.ndim
            index[place] = slice(first, last, stride)
            x = x[tuple(index)]
        return x


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: attribute for attribute in node.attribute}


def _same_padding(node: Any) -> Iterator[int]:
    """Of a node with stride 1: pixels before all sides, then after all sides."""
    known = _attributes(node)
    kernel = list(known["kernel_shape"].ints)
    dilations = list(known["dilations"].ints) if "dilations" in known else [1] * len(kernel)
    wholes = [dilation * (side - 1) for side, dilation in zip(kernel, dilations, strict=True)]
    fewer, more = [whole // 2 for whole in wholes], [whole - whole // 2 for whole in wholes]
    upper = known["auto_pad"].s == b"SAME_UPPER"
    yield from (*fewer, *more) if upper else (*more, *fewer)


def make_padding_explicit(model: Any) -> None:
    """Writes what ``auto_pad`` means into the nodes where it does not depend on the picture's size.

    onnx2torch refuses it. With a stride the padding depends on the size, so such nodes are left.

    Args:
        model: an ``onnx.ModelProto``, changed in place.
    """
    make = require("onnx", "an ONNX file").helper.make_attribute
    for node in model.graph.node:
        known = _attributes(node)
        same = "auto_pad" in known and known["auto_pad"].s in (b"SAME_UPPER", b"SAME_LOWER")
        strides = set(known["strides"].ints) if "strides" in known else {1}
        if same and "kernel_shape" in known and strides == {1}:
            padding = list(_same_padding(node))
            node.attribute.remove(known["auto_pad"])
            node.attribute.append(make("pads", padding))


def convert_model(model: Any) -> nn.Module:
    """The network of an ``onnx.ModelProto``: a tensor, or a sequence of them if it has several outputs."""
    make_padding_explicit(model)
    network: nn.Module = require("onnx2torch", "an ONNX file").convert(model)
    for name, part in list(network.named_modules()):
        if type(part).__name__ == "OnnxSlice":
            network.set_submodule(name, _Slice())
    return network


class OnnxFile(NamedTuple):
    """What an ONNX file holds.

    Attributes:
        network: gives a tensor, or a sequence of them if there are several outputs.
        shape: of the first input, ``None`` where it is free.
        outputs: names in order.
    """

    network: nn.Module
    shape: tuple[int | None, ...]
    outputs: tuple[str, ...]


def convert_onnx(path: str | os.PathLike[str]) -> OnnxFile:
    """The network of an ONNX file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no ONNX file {str(path)!r}")
    model = require("onnx", "an ONNX file").load(str(path))
    stored = {tensor.name for tensor in model.graph.initializer}
    first = next(value for value in model.graph.input if value.name not in stored)
    shape = tuple(side.dim_value or None for side in first.type.tensor_type.shape.dim)
    outputs = tuple(value.name for value in model.graph.output)
    with plain_torch():
        return OnnxFile(convert_model(model), shape, outputs)


def load_onnx(path: str) -> tuple[nn.Module, InputFormat, tuple[str, ...]]:
    """A network from an ONNX file for any batch, the input that it wants, and the names of its outputs.

    Args:
        path: ``~`` and environment variables are expanded.

    Raises:
        FileNotFoundError: there is no such file.
    """
    network, shape, outputs = convert_onnx(Path(os.path.expandvars(path)).expanduser())
    network = for_judging(network)
    size = shape[-2:] if len(shape) == 4 and None not in shape[-2:] else None
    channels = "gray" if len(shape) == 4 and shape[1] == 1 else "rgb"
    wrapped = OneByOne(network) if shape and shape[0] == 1 else network
    return wrapped, InputFormat(size=size, channels=channels), outputs
