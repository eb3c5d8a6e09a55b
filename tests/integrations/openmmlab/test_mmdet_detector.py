"""Detectors of MMDetection as networks of the task detection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from npp.tasks import Task, build_task
from npp.tasks.mmdet_detector import MMDetDetector, MMDetOneStage, Sizes, load
from npp.tasks.openmmlab_models import read_model_config

FCOS = "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco"
RETINANET = "retinanet/retinanet_r50_fpn_1x_coco"
FASTER = "faster_rcnn/faster-rcnn_r50_fpn_1x_coco"


def _written(folder: Path, name: str, **scales: object) -> Path:
    """A detector's configuration with few detections and another scale in its test pipeline."""
    config = read_model_config(f"mmdet::{name}.py")
    if "test_cfg" in config.model and "rcnn" in config.model.test_cfg:
        config.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=10)
        config.model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
        config.model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=20)
        config.model.roi_head.bbox_roi_extractor.roi_layer.use_torchvision = True
    else:
        config.model.test_cfg.update(score_thr=0.0, nms_pre=50, max_per_img=10)
    config.test_pipeline = [{"type": "LoadImageFromFile"}]
    if scales:
        config.test_pipeline.append({"type": "Resize", **scales})
    path = folder / f"{Path(name).name}.py"
    Config(config.to_dict()).dump(path)
    return path


@pytest.fixture(scope="module", params=[FCOS, RETINANET])
def one_stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """FCOS and RetinaNet with random weights."""
    torch.manual_seed(0)
    path = _written(tmp_path_factory.mktemp("mmdet"), request.param)
    return build_task("detection", model=f"mmdet:{path}:none", threshold=0.0)


@pytest.fixture
def x(photo: np.ndarray) -> Tensor:
    """Two pictures (2, 3, 72, 96)."""
    whole = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    return torch.stack([whole[:, :72, :96], whole[:, 8:, 16:]])


def test_one_stage_detectors_have_a_divergence(one_stage: Task, x: Tensor) -> None:
    clean = one_stage.targets(x)
    assert torch.equal(one_stage.loss(x, clean), torch.zeros(2))
    noisy = (x + 0.1 * torch.randn_like(x)).clamp(0, 1).requires_grad_()
    loss = one_stage.loss(noisy, clean)
    assert bool((loss > 0).all())
    loss[0].backward()
    assert bool(noisy.grad[0].any())
    assert not bool(noisy.grad[1].any())  # a picture's loss does not depend on its neighbours
    torch.testing.assert_close(one_stage.loss(noisy[1:], clean[1:]), loss[1:])
    assert set(one_stage.scores(x, clean)) == {"kl", "f1"}


def test_real_boxes_take_the_detectors_own_losses(one_stage: Task, x: Tensor) -> None:
    boxes = torch.tensor([[10.0, 10.0, 60.0, 50.0]])
    targets = [
        {"boxes": boxes, "labels": torch.tensor([79])},
        {"boxes": boxes[:0], "labels": torch.tensor([])},
    ]
    given = x.clone().requires_grad_()
    loss = one_stage.loss(given, targets)
    loss.sum().backward()
    assert bool(loss.isfinite().all())
    assert bool(given.grad.any())
    assert not any(part.training for part in one_stage.network.modules())
    assert torch.equal(one_stage.loss(x, targets), loss)
    with pytest.raises(ValueError, match="from 0 to 79"):
        one_stage.loss(x, [{"boxes": boxes, "labels": torch.tensor([80])}] * 2)


def test_boxes_are_in_pixels_of_the_picture(tmp_path: Path, x: Tensor) -> None:
    """However the test pipeline scales it."""
    torch.manual_seed(0)
    path = _written(tmp_path, RETINANET, scale=(192, 144), keep_ratio=True)
    twice, _ = load(f"{path}:none")
    assert twice.sizes == Sizes((192, 144), keep_ratio=True)
    plain = MMDetOneStage(twice.model)
    large = torch.nn.functional.interpolate(x, (144, 192), mode="bilinear")
    found, wanted = twice(list(x)), plain(list(large))
    for one, other in zip(found, wanted, strict=True):
        assert len(one["boxes"]) > 0
        torch.testing.assert_close(one["boxes"] * 2, other["boxes"])
        assert torch.equal(one["labels"], other["labels"])
    boxes = torch.tensor([[10.0, 10.0, 60.0, 50.0]])
    labels = torch.tensor([3])
    losses = twice.losses([x[0]], [{"boxes": boxes, "labels": labels}])
    others = plain.losses([large[0]], [{"boxes": 2 * boxes, "labels": labels}])
    for name, value in losses.items():
        torch.testing.assert_close(value, others[name])


def test_sizes_are_those_of_the_pipeline() -> None:
    kept = Sizes((1333, 800), keep_ratio=True)
    assert kept.of(480, 640) == (800, 1067)
    assert kept.of(400, 1600) == (333, 1333)
    assert Sizes((300, 200), keep_ratio=False).of(480, 640) == (200, 300)


def test_two_stages_have_their_losses(tmp_path: Path, x: Tensor) -> None:
    pytest.importorskip("torchvision")
    torch.manual_seed(0)
    task = build_task("detection", model=f"mmdet:{_written(tmp_path, FASTER)}:none", threshold=0.0)
    assert type(task.network) is MMDetDetector
    boxes = torch.tensor([[10.0, 10.0, 60.0, 50.0]])
    targets = [{"boxes": boxes, "labels": torch.tensor([2])}] * 2
    given = x.clone().requires_grad_()
    loss = task.loss(given, targets)
    loss.sum().backward()
    assert bool(given.grad.any())
    assert torch.equal(task.loss(x, targets), loss)  # the boxes that are sampled are the same


def test_a_detector_in_memory_is_taken_and_copied(one_stage: Task, x: Tensor) -> None:
    mine = one_stage.network.model
    mine.train()
    task = build_task("detection", model=mine)
    assert mine.training
    assert task.network.model is not mine
    assert len(task.predict(x)) == 2
    mine.eval()
    with pytest.raises(ValueError, match="only the task detection"):
        build_task("classification", model=mine)
    with pytest.raises(ValueError, match="fit pictures by themselves"):
        build_task("detection", model=mine, input={"size": 64})


def test_names_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither a file nor a configuration"):
        load("fcos/no_such_detector:none")
    path = _written(tmp_path, RETINANET)
    with pytest.raises(ValueError, match="needs a checkpoint, or none"):
        load(str(path))
    with pytest.raises(FileNotFoundError, match=r"weights\.pth"):
        load(f"{path}:{tmp_path}/weights.pth")
