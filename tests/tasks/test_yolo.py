"""Networks of Ultralytics as tasks: random weights, made from its YAML files, nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import framework_nets as nets
import pytest
import torch
from task_nets import boxes, check_divergence_grows
from torch import Tensor, nn

from npp.tasks import build_task
from npp.tasks.boxes import area, iou_matrix

pytestmark = pytest.mark.filterwarnings("default")  # the package's own
# What it reads when it is imported.
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

SIZE = {"size": 96}
TRUTH = [boxes([10.0, 10, 60, 50], [0.0, 5, 30, 60], labels=[1, 4]), boxes(labels=[])]


@pytest.fixture(scope="module", autouse=True)
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Its settings file goes to a folder of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("yolo")))
        pytest.importorskip("ultralytics", reason="ultralytics is not installed")
        yield


@pytest.fixture(scope="module", params=["yolov8n.yaml", "yolo11n.yaml", "yolo26n.yaml"])
def found(request: pytest.FixtureRequest) -> Any:
    return nets.yolo(request.param)


@pytest.fixture
def images() -> Tensor:
    noise = torch.rand(2, 3, 8, 12)
    return nn.functional.interpolate(noise, (64, 90), mode="bicubic").clamp(0, 1)


def test_a_detector_says_how_far_its_view_moved(found: Any, images: Tensor) -> None:
    state = {name: value.clone() for name, value in found.model.state_dict().items()}
    task = build_task("detection", model=found, threshold=0.1, input=SIZE).train()
    check_divergence_grows(task, images, atol=1e-4)
    assert found.model.training and all(torch.equal(v, state[k]) for k, v in found.model.state_dict().items())
    assert not any(part.training for part in task.modules())


def test_detections_are_those_of_the_package(found: Any, images: Tensor) -> None:
    task = build_task("detection", model=found, input=SIZE)
    (ours,) = task.predict(images[:1])
    prepared = task.network.get_submodule("prepared")
    fed = prepared.prepare(images[:1])  # type: ignore[operator]
    assert fed.shape == (1, 3, 96, 96) and float(fed[0, 0, 0, 0]) == pytest.approx(114 / 255)
    found.model.eval()
    try:
        with torch.no_grad():
            decoded = found.model(fed)[0]
    finally:
        found.model.train()
    chosen = decoded.shape[-1] == 6  # a head without suppression
    if chosen:
        wanted = decoded[0]
    else:
        suppression = pytest.importorskip("ultralytics.utils.nms").non_max_suppression
        (wanted,) = suppression(decoded, 0.001, 0.7, multi_label=True, max_det=300)
    scale, top = 90 / 96, (96 - round(64 * 96 / 90)) // 2
    shifted = (wanted[:, :4] - torch.tensor([0, top, 0, top])) * scale
    inside = shifted.clamp_min(0).minimum(torch.tensor([90.0, 64, 90, 64]))
    wanted, inside = wanted[area(inside) > 0], inside[area(inside) > 0]
    assert len(wanted) > 50 and float(ours["scores"][0]) == pytest.approx(float(wanted[0, 4]), rel=1e-4)
    same = (iou_matrix(inside, ours["boxes"]) > 0.95) & (wanted[:, 5][:, None] == ours["labels"])
    # Ours are suppressed after they were cut at the picture's edge.
    assert same[:40].any(1).float().mean() > (0.9 if chosen else 0.8)


def test_true_boxes_take_the_models_own_losses(found: Any, images: Tensor) -> None:
    task = build_task("detection", model=found.model, loss="training", input=SIZE)
    leaf = images.clone().requires_grad_()
    loss = task.loss(leaf, TRUTH)
    loss.sum().backward()
    assert loss.isfinite().all() and (loss > 0).all()
    assert leaf.grad is not None and (leaf.grad.abs().sum((1, 2, 3)) > 0).all()
    assert torch.equal(task.loss(images, TRUTH), loss.detach())
    detector: Any = task.network
    parts = detector.losses([images[0]], [TRUTH[0]])
    assert list(parts) in (["box", "cls", "dfl"], ["loss"])  # 8.3 sums them
    torch.testing.assert_close(sum(parts.values()), loss[0])
    with pytest.raises(ValueError, match="labels from 0 to 79"):
        task.loss(images, [boxes([1.0, 1, 9, 9], labels=[80]), boxes(labels=[])])


def test_names_and_sizes(images: Tensor) -> None:
    task = build_task("detection", model="ultralytics:yolov8n.yaml")
    own = task.network.get_submodule("prepared").format
    assert (own.size, own.resize, own.place, own.multiple) == ((640, 640), "letterbox", "centre", 32)
    bare = build_task("detection", model=nets.yolo("yolov8n.yaml"))
    prepared: Any = bare.network.get_submodule("prepared")
    assert prepared.prepare(images).shape == (2, 3, 64, 96)
    with pytest.raises(ValueError, match="must have the task detect or classify, not segment"):
        build_task("detection", model="ultralytics:yolov8n-seg.yaml")
    with pytest.raises(ValueError, match="must be a detection model of ultralytics, not Classification"):
        build_task("detection", model="ultralytics:yolov8n-cls.yaml")
    with pytest.raises(ValueError, match="must be a classifier of ultralytics, not DetectionModel"):
        build_task("classification", model="ultralytics:yolov8n.yaml")


def test_weights_from_a_file(tmp_path: Path, images: Tensor) -> None:
    found = nets.yolo("yolov8n.yaml")
    found.save(tmp_path / "own.pt")
    task = build_task("detection", model=f"ultralytics:{tmp_path / 'own.pt'}", input=SIZE)
    wanted = build_task("detection", model=found, input=SIZE)
    torch.testing.assert_close(
        task.predict(images)[0]["scores"], wanted.predict(images)[0]["scores"], rtol=1e-2, atol=1e-3
    )  # it saves half precision


def test_a_classifier(images: Tensor) -> None:
    task = build_task("classification", model="ultralytics:yolov8n-cls.yaml", input={"size": 64})
    clean = task.targets(images)
    assert clean[0].shape == (1000,)
    torch.testing.assert_close(clean[0].exp().sum(), torch.tensor(1.0))
    leaf = (0.8 * images).requires_grad_()
    task.loss(leaf, clean).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0
