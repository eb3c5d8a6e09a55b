"""Graphs of later opsets, equal weights, and what onnx2torch lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from npp.tasks import build_task, load_network

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
make = onnx.helper.make_node


def _save(path: Path, nodes: list[Any], tensors: dict[str, torch.Tensor], opset: int) -> str:
    """A file with input ``x`` (n, 3, 8, 9) and output ``y``."""
    info, float_ = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    stored = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in tensors.items()]
    entry, leave = info("x", float_, ["n", 3, 8, 9]), info("y", float_, None)
    graph = onnx.helper.make_graph(nodes, "one", [entry], [leave], stored)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)]), path)
    return f"onnx:{path}"


def _constant(name: str, *values: int) -> Any:
    return make("Constant", [], [name], value=onnx.numpy_helper.from_array(torch.tensor(values).numpy()))


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_equal_weights_that_a_file_stores_once(opset: int, tmp_path: Path) -> None:
    """torch's exporter writes an Identity for the second."""
    weight, bias = torch.rand(3, 3, 1, 1), torch.rand(3)
    nodes = [
        make("Identity", ["b"], ["again"]),
        make("Identity", ["again"], ["b2"]),
        make("Conv", ["x", "w", "b"], ["h"], kernel_shape=[1, 1]),
        make("Conv", ["h", "w", "b2"], ["last"], kernel_shape=[1, 1]),
        make("Identity", ["last"], ["y"]),
    ]
    network = load_network(_save(tmp_path / "one.onnx", nodes, {"w": weight, "b": bias}, opset))
    x = torch.rand(2, 3, 8, 9)
    torch.testing.assert_close(network(x), F.conv2d(F.conv2d(x, weight, bias), weight, bias))


@pytest.mark.parametrize(
    ("nodes", "function"),
    [
        ([_constant("a", 2, 3), make("ReduceMean", ["x", "a"], ["y"])], lambda x: x.mean((2, 3), True)),
        (
            [
                make("Constant", [], ["a"], value_ints=[-1]),
                make("ReduceMax", ["x", "a"], ["y"], keepdims=0, noop_with_empty_axes=1),
            ],
            lambda x: x.amax(-1),
        ),
        ([make("ReduceMean", ["x"], ["y"], keepdims=0)], torch.mean),
        ([make("Gelu", ["x"], ["y"])], F.gelu),
        ([make("Gelu", ["x"], ["y"], approximate="tanh")], lambda x: F.gelu(x, approximate="tanh")),
        ([make("Split", ["x"], ["y", "z"], axis=3, num_outputs=2)], lambda x: x[..., :5]),
        (
            [make("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[1, 1])],
            lambda x: F.avg_pool2d(x, 2, 1),
        ),
        (
            [
                make("Cast", ["x"], ["c"], to=1, saturate=1),
                _constant("s", 0, -1),
                make("Reshape", ["c", "s"], ["y"]),
            ],
            lambda x: x.flatten(1),
        ),
    ],
    ids=["mean", "max", "whole-mean", "gelu", "gelu-tanh", "split", "pool", "cast-reshape"],
)
@pytest.mark.parametrize("opset", [20, 22])
def test_operators_of_later_opsets(nodes: list[Any], function: Any, opset: int, tmp_path: Path) -> None:
    network = load_network(_save(tmp_path / "one.onnx", nodes, {}, opset))
    x = torch.randn(2, 3, 8, 9)
    found = network(x)
    torch.testing.assert_close(found if isinstance(found, torch.Tensor) else found[0], function(x))


def test_a_norm_over_sides_that_the_graph_leaves_open(tmp_path: Path) -> None:
    weight, bias = torch.rand(9), torch.rand(9)
    nodes = [
        make("Shape", ["x"], ["sides"]),
        make("Reshape", ["x", "sides"], ["h"]),
        make("LayerNormalization", ["h", "w", "b"], ["y"], axis=-1),
    ]
    network = load_network(_save(tmp_path / "one.onnx", nodes, {"w": weight, "b": bias}, 17))
    x = torch.rand(2, 3, 8, 9)
    torch.testing.assert_close(network(x), F.layer_norm(x, (9,), weight, bias))


@pytest.mark.parametrize(
    ("node", "opset", "message"),
    [
        (
            make("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2]),
            20,
            "AveragePool of opset 20",
        ),
        (make("ReduceMean", ["x"], ["y"], noop_with_empty_axes=1), 18, "ReduceMean of opset 18"),
        (make("Mish", ["x"], ["y"]), 18, "lacks Mish of opset 18; export it with opset_version=17"),
        (make("GlobalMaxPool", ["x"], ["y"]), 17, "lacks GlobalMaxPool of opset 17$"),
        (make("Own", ["x"], ["y"], domain="mine"), 17, "lacks Own"),
        (make("Conv", ["x", "nowhere"], ["y"]), 17, "onnx2torch cannot convert it: "),
    ],
)
def test_what_onnx2torch_lacks_is_named_with_the_file(
    node: Any, opset: int, message: str, tmp_path: Path
) -> None:
    path = _save(tmp_path / "one.onnx", [node], {}, opset)
    with pytest.raises(ValueError, match=f"one.onnx: .*{message}"):
        load_network(path)


def test_nodes_without_names_are_not_taken_for_others(tmp_path: Path) -> None:
    """onnx2torch would call the third node Add_1, as it does the second, without the stroke."""
    nodes = [
        make("Add", ["x", "one"], ["a"], name="/Add"),
        make("Add", ["a", "one"], ["b"], name="/Add_1"),
        make("Add", ["b", "one"], ["c"]),
        make("Add", ["c", "one"], ["y"]),
    ]
    network = load_network(_save(tmp_path / "one.onnx", nodes, {"one": torch.ones(1)}, 13))
    x = torch.rand(2, 3, 8, 9)
    torch.testing.assert_close(network(x), x + 4)
    layers = dict(network.named_modules())
    assert {"network.Add", "network.Add_1"} <= set(layers), "names that a file has stay"
    assert len([name for name in layers if "Add" in name]) == 4


def test_a_size_that_a_graph_cannot_take_is_named(tmp_path: Path) -> None:
    """The file says 8 rows and 9 columns, and adds as many numbers."""
    table = torch.rand(1, 1, 8, 9)
    nodes = [make("Add", ["x", "table"], ["y"])]
    spec = _save(tmp_path / "one.onnx", nodes, {"table": table}, 13)
    for task in ("match", "segmentation"):
        with pytest.raises(
            ValueError, match=r"input.size is \(16, 16\), and .* takes \(8, 9\) \(height, width\) alone"
        ):
            build_task(task, model=spec, input={"size": 16})
    with pytest.raises(ValueError, match=r"input.size is None, and .* takes \(8, 9\)"):
        build_task("match", model=spec, input={"size": None})
    free = _save(tmp_path / "free.onnx", [make("Relu", ["x"], ["y"])], {}, 13)
    task = build_task("match", model=free, input={"size": 16})
    assert task.network(torch.rand(1, 3, 8, 9)).shape == (1, 3, 16, 16)
