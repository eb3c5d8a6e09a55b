"""Rewriting of ONNX graphs that onnx2torch cannot read as they are.

onnx2torch knows operators up to opset 17. Most later versions of operators only allow further types, so that
most graphs of later opsets have the same meaning with the operators of opset 17.
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
# Operators whose later versions mean the same, unless a node has a new attribute or input.
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
# Reductions whose axes became an input in opset 18.
_REDUCTIONS = frozenset(
    f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
# Attributes that opset 17 lacks, with values that do not change the meaning; ``None`` stands for any value,
# for these concern types that no network here has, or repeat the number of outputs.
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
    """Replaces ``auto_pad``, which onnx2torch refuses, by explicit padding.

    With a stride the padding depends on the size of the picture, so such nodes are not changed.

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
    """Whole numbers that are stored in the file, by name."""
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
    """Removes Identity nodes, except those that name an output of the graph.

    torch's exporter writes one if two weights are equal, and onnx2torch finds no weight through it.

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
    """The opset in which an operator's version was introduced; ``opset`` for an unknown operator."""
    defs = require("onnx", "an ONNX file").defs
    try:
        return int(defs.get_schema(kind, opset).since_version)
    except defs.SchemaError:
        return opset


def _value(attribute: Any) -> Any:
    """The value of a node's attribute, hashable; a sequence of equal numbers becomes one number."""
    value = require("onnx", "an ONNX file").helper.get_attribute_value(attribute)
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return value
    return value[0] if len(set(value)) == 1 else tuple(value)


def _is_of_opset_17(node: Any) -> bool:
    """Whether a node of :data:`_SAME` is valid in opset 17, after attributes without meaning are removed."""
    for name, silent in _NEW_ATTRIBUTES.get(node.op_type, {}).items():
        attribute = _attributes(node).get(name)
        if attribute is None:
            continue
        if silent is not None and _value(attribute) not in silent:
            return False
        node.attribute.remove(attribute)
    return node.op_type != "Pad" or not any(node.input[_PAD_INPUTS:])


def _reduction(node: Any, stored: Mapping[str, list[int]]) -> bool:
    """Writes the axes of a reduction as an attribute; returns whether they are stored and not empty."""
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
    """Stores a number in the graph and returns its name."""
    array = np.array(value, np.float32)
    model.graph.initializer.append(require("onnx", "an ONNX file").numpy_helper.from_array(array, name))
    return name


def _gelu(model: Any, node: Any) -> list[Any]:
    """Nodes of opset 17 that compute a Gelu: x / 2 * (1 + erf(x / sqrt(2))), or its form with tanh."""
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
    """Nodes of opset 17 with the meaning of a node of a later opset; empty if unknown."""
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
    """Rewrites a graph of a later opset with the operators of opset 17.

    Args:
        model: an ``onnx.ModelProto``, changed in place.

    Raises:
        ValueError: operators have no equivalent in opset 17; the message names them.
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
    """The message about operators that cannot be converted."""
    advice = f"; export it with opset_version={_LAST_READ}" if opset > _LAST_READ else ""
    return f"onnx2torch lacks {', '.join(sorted(kinds))} of opset {opset}{advice}"


def check_operators(model: Any) -> None:
    """Raises ValueError unless onnx2torch can convert all operators; the message names the others."""
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
    """The description by which onnx2torch looks up a node."""
    return f"{node.domain}/{node.name.replace('.', '/')}".lstrip("/")


def _name_nodes(model: Any) -> None:
    """Names the nodes that have no unique name, for the names that onnx2torch invents may collide.

    Other nodes keep their names, by which layers and weights are addressed.
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
    """Rewrites a graph, with the same meaning, so that onnx2torch can read it.

    Args:
        model: an ``onnx.ModelProto``, changed in place.

    Raises:
        ValueError: the graph has operators that onnx2torch lacks; the message names them and the opset.
    """
    drop_identities(model)
    lower_opset(model)
    check_operators(model)
    _name_nodes(model)
    make_padding_explicit(model)
