"""Graphs of ONNX files, written anew where onnx2torch cannot read them as they are.

onnx2torch knows operators up to opset 17. Most later versions of them only allow further types, so that a
graph of a later opset mostly says the same in the words of opset 17.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from npp.extras import require

_LAST_READ = 17  # the last opset that onnx2torch reads
_LAST_COMPARED = 28  # the last one whose operators were compared with those of opset 17
_DEFAULT_DOMAINS = ("", "ai.onnx")
# Operators whose versions after opset 17 mean the same, unless a node has an attribute or input that is new.
_SAME = frozenset(
    {
        "Acos",
        "Asin",
        "Atan",
        "AveragePool",
        "Cast",
        "Celu",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "ConvTranspose",
        "Cos",
        "DepthToSpace",
        "Dropout",
        "Einsum",
        "Elu",
        "Equal",
        "EyeLike",
        "Flatten",
        "GlobalAveragePool",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "InstanceNormalization",
        "IsInf",
        "IsNaN",
        "MaxPool",
        "Mod",
        "Pad",
        "Range",
        "Reshape",
        "Resize",
        "RoiAlign",
        "Round",
        "ScatterND",
        "Selu",
        "Shape",
        "Sin",
        "Softplus",
        "Softsign",
        "Split",
        "Squeeze",
        "Tan",
        "TopK",
        "Transpose",
        "Unsqueeze",
    }
)
# Their axes became an input in opset 18.
_REDUCTIONS = frozenset(
    f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
# Attributes that opset 17 lacks, with values that mean what it does without them; ``None`` stands for any,
# for they concern types of numbers that no network here has, or say the number of outputs again.
_NEW_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "AveragePool": {"dilations": {1}},
    "Cast": {"saturate": None, "round_mode": None},
    "Range": {"stash_type": None},
    "Resize": {"antialias": {0}, "keep_aspect_ratio_policy": {b"stretch"}, "axes": set()},
    "Split": {"num_outputs": None},
}
_PAD_INPUTS = 3  # of opset 17; a fourth names the axes


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: attribute for attribute in node.attribute}


def _same_padding(node: Any) -> Iterator[int]:
    """The padding of a node with stride 1: pixels before all sides, then after all sides."""
    attributes = _attributes(node)
    kernel = list(attributes["kernel_shape"].ints)
    dilations = list(attributes["dilations"].ints) if "dilations" in attributes else [1] * len(kernel)
    totals = [dilation * (side - 1) for side, dilation in zip(kernel, dilations, strict=True)]
    fewer, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    upper = attributes["auto_pad"].s == b"SAME_UPPER"
    yield from (*fewer, *more) if upper else (*more, *fewer)


def make_padding_explicit(model: Any) -> None:
    """Writes what ``auto_pad`` means into the nodes where it does not depend on the picture's size.

    onnx2torch refuses it. With a stride the padding depends on the size, so such nodes are left.

    Args:
        model: an ``onnx.ModelProto``, changed in place.
    """
    make = require("onnx", "an ONNX file").helper.make_attribute
    for node in model.graph.node:
        attributes = _attributes(node)
        same = "auto_pad" in attributes and attributes["auto_pad"].s in (b"SAME_UPPER", b"SAME_LOWER")
        strides = set(attributes["strides"].ints) if "strides" in attributes else {1}
        if same and "kernel_shape" in attributes and strides == {1}:
            padding = list(_same_padding(node))
            node.attribute.remove(attributes["auto_pad"])
            node.attribute.append(make("pads", padding))


def _stored_numbers(model: Any) -> dict[str, list[int]]:
    """Whole numbers that the file holds, by name."""
    onnx = require("onnx", "an ONNX file")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    numbers = {}
    for node in model.graph.node:
        attributes = _attributes(node) if node.op_type == "Constant" else {}
        if "value" in attributes:
            tensors[node.output[0]] = attributes["value"].t
        elif "value_ints" in attributes:
            numbers[node.output[0]] = list(attributes["value_ints"].ints)
    for name, tensor in tensors.items():
        if tensor.data_type == onnx.TensorProto.INT64:
            numbers[name] = onnx.numpy_helper.to_array(tensor).reshape(-1).tolist()
    return numbers


def drop_identities(model: Any) -> None:
    """Takes Identity nodes out of the graph, except those that name an output of the whole.

    torch's exporter writes one where two weights are equal, and onnx2torch finds no weight behind it.

    Args:
        model: an ``onnx.ModelProto``, changed in place.
    """
    ends = {value.name for value in model.graph.output}
    source: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = source.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in ends:
            source[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _opset(model: Any) -> int:
    """The opset of a graph's default domain."""
    return max((entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS), default=1)


def _since(kind: str, opset: int) -> int:
    """The opset that an operator's version in another is from; that one itself for an unknown operator."""
    defs = require("onnx", "an ONNX file").defs
    try:
        return int(defs.get_schema(kind, opset).since_version)
    except defs.SchemaError:
        return opset


def _value(attribute: Any) -> Any:
    """The value of a node's attribute, hashable: a sequence of equal numbers is one of them."""
    value = require("onnx", "an ONNX file").helper.get_attribute_value(attribute)
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return value
    return value[0] if len(set(value)) == 1 else tuple(value)


def _is_of_opset_17(node: Any) -> bool:
    """Whether a node of :data:`_SAME` has nothing that opset 17 lacks; takes out what says nothing."""
    for name, silent in _NEW_ATTRIBUTES.get(node.op_type, {}).items():
        attribute = _attributes(node).get(name)
        if attribute is None:
            continue
        if silent is not None and _value(attribute) not in silent:
            return False
        node.attribute.remove(attribute)
    return node.op_type != "Pad" or not any(node.input[_PAD_INPUTS:])


def _reduction(node: Any, stored: Mapping[str, list[int]]) -> bool:
    """Writes the axes of a reduction as an attribute; whether they are stored and something is reduced."""
    names = [name for name in node.input[1:] if name]
    if any(name not in stored for name in names):
        return False
    axes = [axis for name in names for axis in stored[name]]
    idle = _attributes(node).get("noop_with_empty_axes")
    if idle is not None:
        if idle.i and not axes:
            return False
        node.attribute.remove(idle)
    del node.input[1:]
    if axes:
        node.attribute.append(require("onnx", "an ONNX file").helper.make_attribute("axes", axes))
    return True


def _scalar(model: Any, value: float, name: str) -> str:
    """Stores a number, and says its name."""
    array = np.array(value, np.float32)
    model.graph.initializer.append(require("onnx", "an ONNX file").numpy_helper.from_array(array, name))
    return name


def _gelu(model: Any, node: Any) -> list[Any]:
    """Nodes of opset 17 that compute what a Gelu does: x / 2 * (1 + erf(x / sqrt(2))), or with a tanh."""
    make = require("onnx", "an ONNX file").helper.make_node
    x, y = node.input[0], node.output[0]
    attributes = _attributes(node)

    def number(value: float, name: str) -> str:
        return _scalar(model, value, f"{y}/{name}")

    def step(kind: str, *inputs: str) -> str:
        steps.append(make(kind, list(inputs), [f"{y}/{len(steps)}"], name=f"{y}/{len(steps)}"))
        return str(steps[-1].output[0])

    steps: list[Any] = []
    if "approximate" in attributes and attributes["approximate"].s == b"tanh":
        cube = step("Mul", step("Mul", step("Mul", x, x), x), number(0.044715, "cube"))
        bent = step("Tanh", step("Mul", step("Add", x, cube), number(math.sqrt(2 / math.pi), "scale")))
    else:
        bent = step("Erf", step("Mul", x, number(math.sqrt(0.5), "scale")))
    factor = step("Mul", step("Add", bent, number(1.0, "one")), number(0.5, "half"))
    return [*steps, make("Mul", [x, factor], [y], name=f"{y}/gelu")]


def _in_opset_17(model: Any, node: Any, stored: Mapping[str, list[int]], opset: int) -> list[Any]:
    """Nodes that say in opset 17 what one of a later opset says; none where that is not known."""
    since = _since(node.op_type, opset)
    if node.domain not in _DEFAULT_DOMAINS or since <= _LAST_READ:
        return [node]
    if since > _LAST_COMPARED:
        return []
    if node.op_type == "Gelu":
        return _gelu(model, node)
    if node.op_type in _REDUCTIONS:
        return [node] if _reduction(node, stored) else []
    return [node] if node.op_type in _SAME and _is_of_opset_17(node) else []


def lower_opset(model: Any) -> None:
    """Writes a graph of a later opset in that of opset 17.

    Args:
        model: an ``onnx.ModelProto``, changed in place.

    Raises:
        ValueError: a node says what opset 17 cannot; it names the operators.
    """
    opset = _opset(model)
    if opset <= _LAST_READ:
        return
    stored = _stored_numbers(model)
    nodes, lacking = [], set()
    for node in model.graph.node:
        written = _in_opset_17(model, node, stored, opset)
        nodes += written
        lacking |= set() if written else {node.op_type}
    if lacking:
        raise ValueError(_lacks(lacking, opset))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for entry in model.opset_import:
        if entry.domain in _DEFAULT_DOMAINS:
            entry.version = _LAST_READ


def _lacks(kinds: set[str], opset: int) -> str:
    """What is said of operators that cannot be converted."""
    advice = f"; export it with opset_version={_LAST_READ}" if opset > _LAST_READ else ""
    return f"onnx2torch lacks {', '.join(sorted(kinds))} of opset {opset}{advice}"


def check_operators(model: Any) -> None:
    """Raises ValueError where onnx2torch has no converter for an operator; it names all of these."""
    find = require("onnx2torch.node_converters", "an ONNX file").get_converter
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    lacking = set()
    for node in model.graph.node:
        try:
            find(node.op_type, opsets.get(node.domain, 1), node.domain)
        except NotImplementedError:
            lacking.add(node.op_type)
    if lacking:
        raise ValueError(_lacks(lacking, _opset(model)))


def _known_as(node: Any) -> str:
    """What onnx2torch calls a node."""
    return f"{node.domain}/{node.name.replace('.', '/')}".lstrip("/")


def _name_nodes(model: Any) -> None:
    """Gives nodes a name that lack one of their own: onnx2torch makes names up, and may call two the same.

    Others keep theirs, by which layers and weights are known.
    """
    nodes = model.graph.node
    counts = Counter(_known_as(node) for node in nodes)
    used = set(counts)
    for index, node in enumerate(nodes):
        if node.name and counts[_known_as(node)] == 1:
            continue
        node.name = f"{node.op_type}_{index}"
        while _known_as(node) in used:
            node.name += "_"
        used.add(_known_as(node))


def make_convertible(model: Any) -> None:
    """Writes a graph so that onnx2torch can read it, with the same meaning.

    Args:
        model: an ``onnx.ModelProto``, changed in place.

    Raises:
        ValueError: it has operators that onnx2torch lacks; it names them and the opset.
    """
    drop_identities(model)
    lower_opset(model)
    check_operators(model)
    _name_nodes(model)
    make_padding_explicit(model)
