"""ONNX models give the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from preprocessors import make

from npp import Preprocessor
from npp.extras import MissingPackageError


@pytest.mark.parametrize(
    "network",
    ["gains", "blur", *(pytest.param(name, marks=pytest.mark.slow) for name in ("unet", "unet-adaptive"))],
)
def test_onnx_gives_the_same(network: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    preprocessor = make(network, 0.1, **({"depth": 1} if network == "gains" else {}))
    path = tmp_path / "a.onnx"
    preprocessor.train().export_onnx(path)
    assert preprocessor.training
    preprocessor.eval()
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    session = runtime.InferenceSession(path)
    assert [value.name for value in session.get_inputs()] == ["x", "qp"]
    assert [value.name for value in session.get_outputs()] == ["x_pre"]
    for shape in ((3, 3, 37, 51), (1, 3, 16, 64), (1, 3, 1, 1)):
        x, qp = torch.rand(shape), torch.linspace(22, 44, shape[0])
        with torch.no_grad():
            expected = preprocessor(x, qp)
        (y,) = session.run(None, {"x": x.numpy(), "qp": qp.numpy()})
        torch.testing.assert_close(torch.from_numpy(y), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_onnx_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if package == "onnxscript":
        pytest.importorskip("onnx")  # which is looked for first
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"^exporting needs the package {package}: pip install 'npp\[onnx\]'$"
    with pytest.raises(MissingPackageError, match=wanted):
        Preprocessor("blur").export_onnx(tmp_path / "a.onnx")
