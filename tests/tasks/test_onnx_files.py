"""ONNX files: padding, slices, batches."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from npp.tasks import load_network
from npp.tasks.onnx_files import convert_onnx, fix_sides


def _save(
    path: Path,
    nodes: list[Any],
    tensors: dict[str, torch.Tensor],
    width: int = 9,
    *,
    shape: list[Any] | None = None,
    kind: str = "FLOAT",
) -> str:
    """A file with input ``x`` (n, 3, 8, width), or of another shape and kind, and output ``y``."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
    info, float_ = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    stored = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in tensors.items()]
    entry = info("x", getattr(onnx.TensorProto, kind), shape or ["n", 3, 8, width])
    leave = info("y", float_, None)
    graph = onnx.helper.make_graph(nodes, "one", [entry], [leave], stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    onnx.save(model, path)
    return f"onnx:{path}"


@pytest.mark.parametrize("side", ["UPPER", "LOWER"])
def test_padding_that_a_file_leaves_to_the_reader(side: str, tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    weight = torch.rand(2, 3, 2, 4)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], auto_pad=f"SAME_{side}", kernel_shape=[2, 4], dilations=[1, 2]
    )
    network = load_network(_save(tmp_path / "one.onnx", [node], {"w": weight}))
    x = torch.rand(2, 3, 8, 9)
    before = (0, 3) if side == "UPPER" else (1, 3)
    padded = F.pad(x, (before[1], 6 - before[1], before[0], 1 - before[0]))
    torch.testing.assert_close(network(x), F.conv2d(padded, weight, dilation=(1, 2)))


@pytest.mark.parametrize(
    ("ranges", "index"),
    [
        ([[1], [3], [1], [1]], (slice(None), slice(1, 3))),
        ([[2, 0], [7, 100], [3, 2], [2, 1]], (..., slice(0, 100), slice(2, 7, 2))),
        ([[-4], [2**31 - 1], [-1], [1]], (..., slice(-4, None))),
        ([[0, 1], [1, 3]], (slice(0, 1), slice(1, 3))),
    ],
)
@pytest.mark.filterwarnings("error")
def test_slices(ranges: list[list[int]], index: Any, tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    names = [f"r{place}" for place in range(len(ranges))]
    node = helper.make_node("Slice", ["x", *names], ["y"])
    tensors = {name: torch.tensor(values) for name, values in zip(names, ranges, strict=True)}
    network = load_network(_save(tmp_path / "one.onnx", [node], tensors))
    x = torch.rand(2, 3, 8, 9)
    assert torch.equal(network(x), x[index])


def test_a_slice_backwards(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    node = helper.make_node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"])
    tensors = {"starts": [6], "ends": [-8], "axes": [3], "steps": [-2]}
    stored = {name: torch.tensor(values) for name, values in tensors.items()}
    network = load_network(_save(tmp_path / "one.onnx", [node], stored))
    x = torch.rand(1, 3, 8, 9)
    assert torch.equal(network(x), x[..., [6, 4, 2]])


@pytest.mark.parametrize("shape", [["n", 8, 9, 3], [1, 8, 9, 3], ["n", "h", "w", 3]])
def test_channels_that_come_last(shape: list[Any], tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    weight = torch.rand(2, 3, 2, 2)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["y"], kernel_shape=[2, 2]),
    ]
    network = load_network(_save(tmp_path / "one.onnx", nodes, {"w": weight}, shape=shape))
    x = torch.rand(2, 3, 8, 9)
    torch.testing.assert_close(network(x), F.conv2d(x, weight))


def test_pictures_of_bytes_are_up_to_255(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    weight = torch.rand(2, 3, 2, 2)
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=1),
        helper.make_node("Conv", ["f", "w"], ["y"], kernel_shape=[2, 2]),
    ]
    network = load_network(_save(tmp_path / "one.onnx", nodes, {"w": weight}, kind="UINT8"))
    x = torch.rand(2, 3, 8, 9)
    torch.testing.assert_close(network(x), F.conv2d(255 * x, weight))


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (["n", 12, 8, 9], "FLOAT", "must take pictures of 1 or 3 channels"),
        (["n", 3, 8, 9], "INT64", "takes INT64"),
        (None, "", "no ONNX file with an input, or a damaged one"),
    ],
)
def test_files_that_take_no_pictures_are_named(
    shape: list[Any] | None, kind: str, message: str, tmp_path: Path
) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    path = tmp_path / "one.onnx"
    if kind:
        _save(path, [helper.make_node("Identity", ["x"], ["y"])], {}, shape=shape, kind=kind)
    else:
        pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
        path.write_bytes(b"no graph")
    with pytest.raises(ValueError, match=message):
        load_network(f"onnx:{path}")


def test_a_file_with_several_inputs_is_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
    info = onnx.helper.make_tensor_value_info
    entries = [info(name, 1, ["n", 3, 8, 9]) for name in ("images", "size")]
    node = onnx.helper.make_node("Add", ["images", "size"], ["y"])
    graph = onnx.helper.make_graph([node], "two", entries, [info("y", 1, None)])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]), tmp_path / "two.onnx"
    )
    with pytest.raises(ValueError, match=r"two\.onnx takes images, size; a network must take pictures alone"):
        load_network(f"onnx:{tmp_path / 'two.onnx'}")


@pytest.mark.parametrize("fixed", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_file_of_one_size_of_batch_takes_any(count: int, fixed: int, tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    node = helper.make_node("Reshape", ["x", "sides"], ["y"])
    tensors = {"sides": torch.tensor([fixed, 216])}
    path = _save(tmp_path / "one.onnx", [node], tensors, shape=[fixed, 3, 8, 9])
    x = torch.rand(count, 3, 8, 9, requires_grad=True)
    found = load_network(path)(x)
    assert torch.equal(found, x.flatten(1))
    found.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones_like(x))


def test_what_a_file_reshapes_to_and_picks_is_fixed_in_the_network(tmp_path: Path) -> None:
    """A network on a GPU would fetch it from there at every call."""
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    nodes = [
        helper.make_node("Reshape", ["x", "sides"], ["flat"]),
        helper.make_node("Gather", ["flat", "place"], ["y"], axis=-2),
    ]
    tensors = {"sides": torch.tensor([0, 3, -1]), "place": torch.tensor(1)}
    network = load_network(_save(tmp_path / "one.onnx", nodes, tensors))
    assert not {type(part).__name__ for part in network.modules()} & {"OnnxReshape", "OnnxGather"}
    x = torch.rand(2, 3, 8, 9)
    assert torch.equal(network(x), x[:, 1].flatten(1))
    copied = copy.deepcopy(network)
    assert torch.equal(copied(x), network(x)) and "(0, 3, -1)" in str(network)


def test_sides_that_a_file_computes_stay_free_unless_they_are_fixed(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    nodes = [
        helper.make_node("Shape", ["x"], ["sides"]),
        helper.make_node("Gather", ["sides", "order"], ["turned"]),
        helper.make_node("Reshape", ["x", "turned"], ["y"]),
    ]
    path = _save(tmp_path / "one.onnx", nodes, {"order": torch.tensor([0, 1, 3, 2])})
    network = convert_onnx(path.removeprefix("onnx:")).network
    for height in (8, 5):
        x = torch.rand(2, 3, height, 9)
        assert torch.equal(network(x), x.reshape(2, 3, 9, height))
    fix_sides(network, (1, 3, 8, 9))
    assert {type(part).__name__ for part in network.modules()} == {"GraphModule", "Reshape"}
    x = torch.rand(1, 3, 8, 9)
    assert torch.equal(network(x), x.reshape(1, 3, 9, 8))
