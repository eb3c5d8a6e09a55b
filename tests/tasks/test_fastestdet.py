"""FastestDet is the file's network, and sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from npp.photos.loading import load_photo
from npp.tasks import build_task


@pytest.fixture(scope="session")
def fastestdet(shared: Path) -> Path:
    for package in ("onnx", "onnx2torch", "torchvision"):
        pytest.importorskip(package, reason=f"FastestDet needs {package}")
    path = shared / "models" / "FastestDet.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path


def test_fastestdet_is_the_files_network(fastestdet: Path, photo: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="compared with onnxruntime")
    from npp.tasks.fastestdet import FastestDet

    network = FastestDet(fastestdet).eval()
    images = torch.rand(2, 3, 352, 352)
    images[1] = F.interpolate(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255, (352, 352))[0]
    session = onnxruntime.InferenceSession(str(fastestdet))
    name = session.get_inputs()[0].name
    expected = [session.run(None, {name: image[None].flip(1).numpy()})[0] for image in images]
    with torch.no_grad():
        cells = network.dense(images)["cells"]
    torch.testing.assert_close(
        cells, torch.cat([torch.from_numpy(one) for one in expected]), atol=1e-4, rtol=0
    )


def test_fastestdet_sees_and_keeps(fastestdet: Path, shared: Path) -> None:
    path = shared / "data" / "bsds500"
    bear = next(iter(path.rglob("100080.jpg")), None)
    if bear is None:
        pytest.skip("the photo 100080.jpg of BSDS500 is absent")
    task = build_task("detection", model=f"fastestdet:{fastestdet}")
    image = load_photo(bear, None, "full")[None]
    targets = task.targets(image)
    assert targets[0]["labels"].tolist() == [21]  # a bear, as the 22nd class of COCO
    centre = (targets[0]["boxes"][0, :2] + targets[0]["boxes"][0, 2:]) / 2
    assert 100 < centre[0] < 220 and 240 < centre[1] < 400
    assert float(task.loss(image, targets)) == 0
    noisy = [image + level * torch.randn_like(image) for level in (0.01, 0.04, 0.16)]
    scores = [float(task.scores(one, targets)["kl"]) for one in noisy]
    assert scores == sorted(scores)
    leaf = noisy[1].requires_grad_()
    truth = [{name: targets[0][name] for name in ("boxes", "labels")}]
    for wanted in (targets, truth):
        leaf.grad = None
        task.loss(leaf, wanted).sum().backward()
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0
