"""Networks by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import npp
from npp.tasks import Prepared, build_task, load_network


def test_efficientnet_lite_is_prepared() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="a package of the extra test")
    network = load_network("efficientnet-lite0").eval()
    image = torch.randint(0, 256, (1, 3, 224, 224)).float()
    assert isinstance(network, Prepared)
    with torch.no_grad():
        torch.testing.assert_close(
            network(image / 255), network.network((image - 127) / 128), atol=1e-3, rtol=1e-3
        )
        assert network(torch.rand(1, 3, 30, 50)).shape == (1, 1000)


def test_efficientnet_lite_keeps_its_prediction(photo: Any) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="a package of the extra test")
    task = build_task("classification", model="efficientnet-lite0")
    image = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    targets = task.targets(image)
    levels = [npp.compress(image, qp, effort=0).x_hat for qp in (10, 28, 46)]
    divergences = [float(task.scores(one, targets)["kl"]) for one in levels]
    assert divergences == sorted(divergences) and divergences[2] > 10 * divergences[0]


def test_torchvision_by_name() -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    network = load_network("torchvision:squeezenet1_1:none").eval()
    assert isinstance(network, Prepared) and network.format.size == (224, 224)
    assert network.format.mean == pytest.approx((0.485, 0.456, 0.406))
    with pytest.raises(ValueError, match=r"no model 'resnet19'; .*; did you mean 'resnet1"):
        load_network("torchvision:resnet19")
    with pytest.raises(ValueError, match=r"no weights 'V9'; allowed are IMAGENET1K_V1, .*none"):
        load_network("torchvision:squeezenet1_1:V9")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resnet50", "torchvision:resnet50"),
        ("resnet50:none", "torchvision:resnet50:none"),
        ("torchvison:resnet50", "torchvision:resnet50"),
        ("folder/yolov8n.onnx", "onnx:folder/yolov8n.onnx"),
        ("yolov8n.pt", "ultralytics:yolov8n.pt"),
        ("my_package.my_module:build", "python:my_package.my_module:build"),
        ("model:build", "python:model:build"),
        ("mydet:build", "python:mydet:build"),
        ("EfficientNet_lite0", "efficientnet-lite0"),
        ("efficientnet-lite9", "efficientnet-lite[0-2]"),
    ],
)
def test_names_without_their_form_are_told_the_one_that_is_meant(name: str, meant: str) -> None:
    if meant.startswith("torchvision"):
        pytest.importorskip("torchvision", reason="torchvision is not installed")
    with pytest.raises(ValueError, match=f"model must be one of .*, not '{name}'; did you mean '{meant}'"):
        load_network(name)


@pytest.mark.parametrize("name", ["nothing of the kind", "torchvision:"])
def test_names_that_nothing_is_near_get_no_hint(name: str) -> None:
    with pytest.raises(ValueError, match=f"not '{name}'$"):
        load_network(name)


def test_what_hinders_a_download_is_told_with_the_way_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # no weights of an earlier download
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody answers
    said = (
        r"the weights of torchvision:squeezenet1_1 could not be downloaded \(.+\); "
        r"torchvision:squeezenet1_1:FILE\.pth takes them from a file, torchvision:squeezenet1_1:none"
    )
    with pytest.raises(OSError, match=said):
        load_network("torchvision:squeezenet1_1")
    with pytest.raises(FileNotFoundError, match="absent"):
        load_network("torchvision:squeezenet1_1:absent.pth")


def test_weights_from_a_file(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    kept = models.squeezenet1_1(weights=None)
    torch.save(kept.state_dict(), tmp_path / "weights.pth")
    found = load_network(f"torchvision:squeezenet1_1:{tmp_path / 'weights.pth'}")
    assert isinstance(found, Prepared)
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name])


@pytest.mark.parametrize("kind", ["damaged", "nested", "of another", "safetensors"])
def test_weights_that_do_not_fit_are_named(kind: str, tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    if kind in ("damaged", "safetensors"):
        path.write_bytes(b"no weights at all")
    elif kind == "nested":
        torch.save({"state_dict": models.squeezenet1_1(weights=None).state_dict()}, path)
    else:
        torch.save(models.squeezenet1_0(weights=None).state_dict(), path)
    with pytest.raises(ValueError, match=f"{path} has no weights for SqueezeNet: "):
        load_network(f"torchvision:squeezenet1_1:{path}")


def test_torchvisions_own_scale_goes_with_weights_from_a_file(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.save(models.googlenet(weights=None, init_weights=False).state_dict(), tmp_path / "weights.pth")
    found = load_network(f"torchvision:googlenet:{tmp_path / 'weights.pth'}")
    assert isinstance(found, Prepared) and found.network.transform_input is True


def test_timm_by_name() -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    network = load_network("timm:mobilenetv3_small_050:none")
    assert isinstance(network, Prepared) and network.format.size == (224, 224)
    with pytest.raises(ValueError, match="no model 'resnet19'"):
        load_network("timm:resnet19")


def test_onnx_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnx2torch", reason="onnx2torch is not installed")
    weight = torch.rand(2, 3, 1, 1)
    helper = onnx.helper
    for batch in (1, "n"):
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            "one",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 3, 6, 8])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [batch, 2, 6, 8])],
            [onnx.numpy_helper.from_array(weight.numpy(), "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        onnx.save(model, tmp_path / "one.onnx")
        network = load_network(f"onnx:{tmp_path / 'one.onnx'}").eval()
        images = torch.rand(3, 3, 6, 8)
        torch.testing.assert_close(network(images), F.conv2d(images, weight))
        assert network(torch.rand(2, 3, 20, 20)).shape == (2, 2, 6, 8)


def test_python_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Conv2d(3, 2, 1)\n\ndef wrong():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_network("python:my_networks:make")(torch.rand(1, 3, 4, 4)).shape == (1, 2, 4, 4)
    with pytest.raises(TypeError, match="not int"):
        load_network("python:my_networks:wrong")
    with pytest.raises(ValueError, match="no 'other'"):
        load_network("python:my_networks:other")


@pytest.mark.parametrize("spec", ["resnet18", "torchvision:", "efficientnet-lite9", "", "onnx:"])
def test_unknown_networks_are_named(spec: str) -> None:
    with pytest.raises(ValueError, match=r"efficientnet-lite0, .*python:package\.module:function"):
        load_network(spec)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package timm: pip install 'npp\[tasks\]'"):
        load_network("timm:resnet18")


def test_a_module_that_is_missing_is_told_from_one_that_lacks_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "in_want.py").write_text("import a_package_of_nobody", encoding="utf-8")
    with pytest.raises(
        ModuleNotFoundError, match=r"No module named 'out_of_sight': .* beside the YAML file$"
    ):
        load_network("python:out_of_sight:net")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'a_package_of_nobody'$"):
        load_network("python:in_want:net")
