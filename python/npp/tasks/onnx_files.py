"""Networks from ONNX files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from npp.extras import require
from npp.files import named_path
from npp.tasks.folding import for_judging
from npp.tasks.frozen import plain_torch
from npp.tasks.input_format import InputFormat, InputSettings, Prepared
from npp.tasks.name_prefixes import Loaded
from npp.tasks.onnx_graphs import make_convertible
from npp.tasks.onnx_parts import Pick, Reshape, Slice, Split
from npp.torch_state import device_of

_PICTURE = 4  # dimensions
_FLOATS = (1, 10, 11, 16)  # of onnx.TensorProto: float, float16, double, bfloat16


class FixedBatch(nn.Module):
    """Runs a network whose graph is fixed to batches of one size on any batch.

    Args:
        network: returns a tensor or several, with the pictures first.
        size: number of pictures in its batches.
    """

    def __init__(self, network: nn.Module, size: int = 1) -> None:
        super().__init__()
        self.network = network
        self.size = size

    def forward(self, images: Tensor) -> Any:
        """Outputs for the pictures (N, ...), joined along the batch."""
        filled = torch.cat([images, images[-1:].expand(-len(images) % self.size, *images.shape[1:])])
        outputs = [self.network(batch) for batch in torch.split(filled, self.size)]
        if isinstance(outputs[0], Tensor):
            return self._joined(outputs, len(images))
        return tuple(self._joined(batches, len(images)) for batches in zip(*outputs, strict=True))

    def _joined(self, batches: Sequence[Tensor], count: int) -> Tensor:
        """An output of all batches, without the padding of the last one; outputs without a batch stay."""
        joined = torch.cat(list(batches))
        return joined[:count] if len(joined) == len(batches) * self.size else joined


class _Sides(fx.Interpreter):
    """Runs a network and notes the shapes of its reshape nodes."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.sides: dict[fx.Node, list[int]] = {}

    def run_node(self, node: fx.Node) -> Any:
        """The output of the node."""
        sides = node.args[1] if _is(node, self.module, "OnnxReshape") else None
        if isinstance(sides, fx.Node):
            self.sides[node] = self.env[sides].tolist()
        return super().run_node(node)


def _is(node: fx.Node, network: nn.Module, kind: str) -> bool:
    """Whether a node is one of onnx2torch's modules."""
    return node.op == "call_module" and type(network.get_submodule(str(node.target))).__name__ == kind


def _stored(network: fx.GraphModule, kind: str) -> Iterator[tuple[fx.Node, Tensor]]:
    """Nodes of a kind whose second input is stored in the file, with that input."""
    for node in network.graph.nodes:
        second = node.args[1] if _is(node, network, kind) else None
        if isinstance(second, fx.Node) and second.op == "get_attr":
            yield node, attrgetter(str(second.target))(network)


def _replace(network: fx.GraphModule, new: Mapping[fx.Node, nn.Module]) -> None:
    """Replaces nodes by modules with a single input."""
    for node, module in new.items():
        network.set_submodule(str(node.target), module)
        node.args = node.args[:1]
    network.graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    network.recompile()


def _write_in_what_is_stored(network: fx.GraphModule) -> None:
    """Writes sides and indices that are stored in the file into the modules that use them."""
    new: dict[fx.Node, nn.Module] = {
        node: Reshape(sides.tolist()) for node, sides in _stored(network, "OnnxReshape")
    }
    for node, index in _stored(network, "OnnxGather"):
        dim = getattr(network.get_submodule(str(node.target)), "_axis", None)
        if dim is not None and index.ndim == 0:
            new[node] = Pick(dim, int(index))
    _replace(network, new)


def fix_sides(network: nn.Module, shape: Sequence[int]) -> None:
    """Replaces the computed shapes of reshape nodes by constants.

    Args:
        network: a network of :func:`convert_onnx`, changed in place. No shape in it may depend on the values
            of its input.
        shape: shape of its input, from now on the only one.
    """
    if isinstance(network, fx.GraphModule):
        run = _Sides(network)
        with torch.no_grad():
            run.run(torch.zeros(tuple(shape)))
        _replace(network, {node: Reshape(sides) for node, sides in run.sides.items()})


def _mend_modules(network: nn.Module) -> None:
    """Corrects or replaces modules of onnx2torch that do not work here."""
    for name, module in list(network.named_modules()):
        kind, attributes = type(module).__name__, vars(module)
        if kind == "OnnxSlice":
            network.set_submodule(name, Slice())
        elif kind == "OnnxSplit13":
            network.set_submodule(name, Split(attributes["axis"], attributes["num_splits"]))
        elif isinstance(module, nn.LayerNorm):  # onnx2torch uses a shape that the graph may leave open
            module.normalized_shape = tuple(module.weight.shape)


def convert_model(model: Any) -> nn.Module:
    """The network of an ``onnx.ModelProto``; it returns a tensor, or a sequence for several outputs.

    Raises:
        ValueError: onnx2torch lacks an operator, or cannot convert what the graph does with one.
    """
    convert = require("onnx2torch", "an ONNX file").convert
    make_convertible(model)
    try:
        network: nn.Module = convert(model)
    except Exception as error:  # its converters raise lookup and assertion errors without messages
        raise ValueError(f"onnx2torch cannot convert it: {type(error).__name__}: {error}") from error
    _mend_modules(network)
    if isinstance(network, fx.GraphModule):
        _write_in_what_is_stored(network)
    return network


class ChannelsLast(nn.Module):
    """Wraps a network that takes (N, H, W, C), as exports of TensorFlow do, to take (N, C, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """The output of the network for pictures (N, C, H, W)."""
        return self.network(images.permute(0, 2, 3, 1))


class OnnxFile(NamedTuple):
    """The contents of an ONNX file.

    Attributes:
        network: returns a tensor, or a sequence for several outputs.
        shape: shape of the first input, with ``None`` for free sides.
        outputs: names of the outputs in order.
        bytes: whether the first input has samples of 8 bits.
    """

    network: nn.Module
    shape: tuple[int | None, ...]
    outputs: tuple[str, ...]
    bytes: bool


def convert_onnx(path: str | os.PathLike[str]) -> OnnxFile:
    """The network of an ONNX file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, has several inputs or one that is neither floating nor 8 bits, or
            onnx2torch cannot convert it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no ONNX file {str(path)!r}")
    onnx = require("onnx", "an ONNX file")
    try:
        model = onnx.load(str(path))
        stored = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in stored]
        first = inputs[0].type.tensor_type
    except Exception as error:  # protobuf's errors, and others for damaged files
        raise ValueError(f"{path} is no ONNX file with an input, or a damaged one: {error}") from None
    shape = tuple(side.dim_value or None for side in first.shape.dim)
    outputs = tuple(value.name for value in model.graph.output)
    if len(inputs) > 1:
        names = ", ".join(value.name for value in inputs)
        raise ValueError(f"{path} takes {names}; a network must take pictures alone")
    if first.elem_type not in _FLOATS and first.elem_type != onnx.TensorProto.UINT8:
        kind = onnx.TensorProto.DataType.Name(first.elem_type)
        raise ValueError(f"{path} takes {kind}; a network must take pictures of floats or of 8 bits")
    try:
        with plain_torch():
            network = convert_model(model)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return OnnxFile(network, shape, outputs, first.elem_type == onnx.TensorProto.UINT8)


def load_onnx(path: str) -> tuple[nn.Module, InputFormat, tuple[str, ...]]:
    """A network from an ONNX file for batches of any size, its input format, and the names of its outputs.

    Inputs (N, H, W, C) are supported, and an input of 8 bits gets values up to 255.

    Args:
        path: ``~`` and environment variables are expanded.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, its input is not one batch of pictures, or onnx2torch cannot convert
            it.
    """
    onnx_file = convert_onnx(named_path(path))
    network, shape = for_judging(onnx_file.network), onnx_file.shape
    if len(shape) == _PICTURE and shape[1] not in (1, 3):
        if shape[-1] in (1, 3):
            network, shape = ChannelsLast(network), (shape[0], shape[3], shape[1], shape[2])
        elif shape[1] is not None:
            raise ValueError(f"{path} must take pictures of 1 or 3 channels, not shape {shape}")
    size = shape[-2:] if len(shape) == _PICTURE and None not in shape[-2:] else None
    channels = "gray" if len(shape) == _PICTURE and shape[1] == 1 else "rgb"
    wrapped = FixedBatch(network, shape[0]) if shape and shape[0] is not None else network
    return (
        wrapped,
        InputFormat(std=1 / 255 if onnx_file.bytes else 1.0, size=size, channels=channels),
        onnx_file.outputs,
    )


def load(rest: str) -> Loaded:
    """A network by the path of its file, and its input format; see :func:`load_onnx`."""
    return load_onnx(rest)[:2]


def prepared_for(
    network: nn.Module, own: InputFormat, settings: InputSettings | None, model: object
) -> Prepared:
    """A network with its preparation; that of an ONNX file is fixed to the size in the settings.

    Args:
        network: the network of ``model``.
        own: its own input format.
        settings: attributes that replace those of ``own``.
        model: the given model; all but ONNX files take any size.

    Raises:
        ValueError: the settings are wrong, or their size does not fit the file.
    """
    prepared = Prepared(network, own.changed(settings))
    if isinstance(model, str) and model.startswith("onnx:"):
        _check_other_size(prepared, own, model)
    return prepared


def _check_other_size(prepared: Prepared, input_format: InputFormat, model: str) -> None:
    size = prepared.format.size
    if input_format.size is None or size == input_format.size:
        return
    height, width = (side or 1 for side in input_format.size)
    if size is None:  # the size of the pictures, which may be any
        height, width = 2 * height, 2 * width
    try:
        with torch.no_grad():
            prepared(torch.zeros(1, 3, height, width, device=device_of(prepared.network)))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"input.size is {size}, and {model} takes {input_format.size} (height, width) alone: leave size "
            f"out ({error})"
        ) from error
