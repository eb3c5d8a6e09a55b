"""The recogniser of the package rapidocr reads."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import npp
from npp.tasks import build_task


@pytest.fixture(scope="module")
def reader() -> Any:
    for package in ("rapidocr", "onnx", "onnx2torch", "torchvision"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (pip install --no-deps rapidocr)")
    return build_task("recognition", model="rapidocr")


def _line(text: str) -> Tensor:
    canvas = Image.new("RGB", (200, 48), "white")
    ImageDraw.Draw(canvas).text((10, 4), text, "black", ImageFont.load_default(size=32))
    return torch.from_numpy(np.asarray(canvas).copy()).permute(2, 0, 1).float() / 255


def test_it_reads_and_keeps(reader: Any) -> None:
    texts = ["Hello", "codec 42"]
    images = torch.stack([_line(text) for text in texts])
    assert reader.predict(images) == texts
    right, wrong = reader.loss(images, texts), reader.loss(images, ["Hallo", "codec 43"])
    assert (right < wrong).all()
    targets = reader.targets(images)
    levels = [npp.compress(images, qp, effort=0).x_hat for qp in (20, 36, 51)]
    divergences = [float(reader.scores(one, targets)["kl"].mean()) for one in levels]
    assert divergences == sorted(divergences) and divergences[0] < divergences[-1]
    leaf = levels[1].clone().requires_grad_()
    reader.loss(leaf, targets).sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0


def test_it_is_the_files_network(reader: Any) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="compared with onnxruntime")
    from npp.tasks.text_reader import recogniser_file

    images = torch.rand(2, 3, 48, 320)
    (wanted,) = runtime.InferenceSession(recogniser_file()).run(None, {"x": (2 * images - 1).flip(1).numpy()})
    probabilities = torch.stack(reader.targets(images)).exp()
    torch.testing.assert_close(probabilities, torch.from_numpy(wanted), atol=1e-4, rtol=0)


def test_its_alphabet_is_its_own() -> None:
    with pytest.raises(ValueError, match="alphabet, blank and layout cannot be set for model 'rapidocr'"):
        build_task("recognition", model="rapidocr", alphabet="ab")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="asked for first")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps rapidocr"):
        build_task("recognition", model="rapidocr")
