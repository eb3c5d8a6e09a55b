"""Detection: losses, pseudo ground truth, torchvision's detectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from task_nets import DenseFinder, Finder, boxes
from torch import Tensor, nn
from torch.nn import functional as F

from npp.tasks import build_task
from npp.tasks.boxes import iou_matrix
from npp.tasks.detectors import OneStage
from npp.tasks.training_losses import TorchvisionDetector, mean_losses


def test_training_losses_of_a_picture(images: Tensor) -> None:
    torch.manual_seed(2)
    network = Finder().eval()
    task = build_task("detection", model=network)
    truth = [boxes([4, 4, 10, 10], labels=[0]), boxes(labels=[]), boxes([2, 2, 2, 9], labels=[1])]
    leaf = images.clone().requires_grad_()
    loss = task.loss(leaf, truth)
    loss.sum().backward()
    logits = network.backbone(images)[:, 0].flatten(1)
    wanted = torch.zeros_like(logits)
    wanted[0] = (iou_matrix(network._boxes(11, 17), truth[0]["boxes"]) > 0.3).any(1).float()
    assert wanted.sum() > 0
    torch.testing.assert_close(
        loss, F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)
    )
    assert leaf.grad is not None and (leaf.grad.abs().sum((1, 2, 3)) > 0).all()
    assert not any(module.training for module in task.modules())
    assert set(task.scores(images, truth)) == {"loss", "f1"}


def test_own_detections_are_the_targets(images: Tensor) -> None:
    task = build_task("detection", model=Finder(), threshold=0.55)
    targets = task.targets(images)
    assert all((one["scores"] >= 0.55).all() and "dense" not in one for one in targets)
    assert task.scores(images, targets)["f1"].tolist() == [1, 1, 1]
    without = build_task("detection", model=DenseFinder(), loss="training")
    assert "dense" not in without.targets(images)[0]


class _FindsLines(Finder):
    """One that also finds a box without area, as FCOS of torchvision does at the border of a picture."""

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        if self.training:
            return super().forward(images, targets)
        line, box = [0.0, 10.0, 0.0, 30.0], [5.0, 5.0, 9.0, 9.0]
        return [boxes(line, box, labels=[1, 1], scores=[0.9, 0.8]) for _ in images]


def test_boxes_without_area_count_as_wrong_against_real_labels_alone(images: Tensor) -> None:
    task = build_task("detection", model=_FindsLines())
    assert task.scores(images, task.targets(images))["f1"].tolist() == [1, 1, 1]
    real = [boxes([5.0, 5.0, 9.0, 9.0], labels=[1]) for _ in images]
    assert task.scores(images, real)["f1"].tolist() == pytest.approx([2 / 3] * 3)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"threshold": 1.5}, "threshold must be a number from 0 to 1, not 1.5"),
        ({"threshold": "a"}, "threshold must be a number from 0 to 1, not 'a'"),
        ({"loss": "l2"}, "loss must be one of 'auto', 'dense', 'training', not 'l2'"),
        ({"loss": "dense"}, "needs a network with dense"),
        ({"model": "efficientnet-lite0"}, "torchvision's interface"),
        ({"model": "fastestdet:nowhere.onnx"}, "no ONNX file"),
    ],
)
def test_wrong_detectors_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        build_task("detection", **{"model": Finder(), **settings})


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            {"boxes": torch.zeros(1, 4)},
            r"targets\[0\] must be a dict .* not dict of boxes",
        ),
        ({"boxes": torch.zeros(2, 4), "labels": torch.zeros(1)}, r"targets\[0\] has 2 boxes but labels"),
        ({"boxes": torch.zeros(4, 2), "labels": torch.zeros(4).long()}, r"shape \(K, 4\), not \(4, 2\)"),
        ({"boxes": torch.zeros(8), "labels": torch.zeros(2).long()}, r"shape \(K, 4\), not \(8,\)"),
        (
            {"boxes": [[20, 20, 8, 9]], "labels": [1]},
            r"y1 <= y2, not \[20.0, 20.0, 8.0, 9.0\] \(box 0\)",
        ),  # x, y, w, h
        ({"boxes": [[0, 0, 8, 9], [9, 0, 8, 9]], "labels": [1, 1]}, r"not \[9.0, 0.0, 8.0, 9.0\] \(box 1\)"),
        ({"boxes": [[0, 0, float("nan"), 9]], "labels": [1]}, "x1 <= x2"),
        ({"boxes": [[0, 0, float("inf"), 9]], "labels": [1]}, "x1 <= x2"),
        ({"boxes": [[0, 0, 8, 9]], "labels": [1.0]}, "whole numbers, not torch.float32"),
        ({"boxes": [[0, 0, 8, 9]], "labels": [-1]}, r"labels of 0 or more, not -1 \(box 0\)"),
        ([[0, 0, 8, 9]], "'boxes' and 'labels'"),
    ],
)
def test_wrong_boxes_are_named(images: Tensor, target: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_task("detection", model=Finder()).loss(images[:1], [target])


class TinyBackbone(nn.Sequential):
    """Features at an eighth of the size."""

    out_channels = 32  # FCOS and RetinaNet normalise groups of them

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 7, 4, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 32, 3, 2, 1)
        )


def _torchvision_detector(kind: str) -> nn.Module:
    detection = pytest.importorskip("torchvision.models.detection", reason="torchvision is not installed")
    generator = pytest.importorskip("torchvision.models.detection.anchor_utils")
    sizes = {"min_size": 48, "max_size": 96}
    if kind == "fcos":
        anchors = generator.AnchorGenerator(((8,),), ((1.0,),))
        return detection.FCOS(TinyBackbone(), 4, anchor_generator=anchors, **sizes)  # type: ignore[no-any-return]
    if kind == "ssd":
        ssd = pytest.importorskip("torchvision.models.detection.ssd")
        places = generator.DefaultBoxGenerator([[2]], scales=[0.3, 0.6], steps=[8])
        return ssd.SSD(TinyBackbone(), places, (48, 64), 4, head=ssd.SSDHead([32], [4], 4))  # type: ignore[no-any-return]
    anchors = generator.AnchorGenerator(((8, 16),), ((0.5, 1.0),))
    if kind == "retinanet":
        return detection.RetinaNet(TinyBackbone(), 4, anchor_generator=anchors, **sizes)  # type: ignore[no-any-return]
    pooler = pytest.importorskip("torchvision.ops").MultiScaleRoIAlign(["0"], 3, 2)
    return detection.FasterRCNN(  # type: ignore[no-any-return]
        TinyBackbone(), 4, rpn_anchor_generator=anchors, box_roi_pool=pooler, **sizes
    )


@pytest.mark.parametrize("kind", ["fcos", "retinanet", "ssd", "faster-rcnn"])
def test_labels_beyond_a_detectors_classes_are_named(kind: str) -> None:
    task = build_task("detection", model=_torchvision_detector(kind))
    with pytest.raises(ValueError, match=r"targets\[1\] must have labels from 0 to 3, not 4 \(box 0\)"):
        task.loss(torch.rand(2, 3, 40, 56), [boxes(labels=[]), boxes([4, 4, 30, 36], labels=[4])])


@pytest.mark.parametrize("kind", ["fcos", "retinanet", "ssd"])
def test_losses_of_one_stage_detectors_need_no_training_mode(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = build_task("detection", model=_torchvision_detector(kind)).network
    assert isinstance(detector, OneStage)
    images = list(torch.rand(2, 3, 40, 56))
    truth = [boxes([4.0, 4, 30, 36], [20, 10, 50, 30], labels=[1, 2])]
    truth.append({"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)})
    wanted = TorchvisionDetector.losses(detector, images, truth)
    with monkeypatch.context() as patch:
        patch.setattr("npp.tasks.training_losses.loss_branch", None)
        found = detector.losses(images, truth)
    assert set(found) == set(wanted) and float(sum(found.values())) > 0
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)

    class Changed(type(detector.detector)):  # type: ignore[misc]
        def forward(self, images: Any, targets: Any = None) -> Any:
            return {"own": images[0].mean()} if self.training else super().forward(images)

    detector.detector.__class__ = Changed
    assert list(detector.losses(images, truth)) == ["own"]


class Head(nn.Module):
    """A head as in torchvision, with functions that do something else in training mode."""

    def __init__(self, inner: nn.Module, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = inner, kind

    def _changed(self, x: Tensor) -> Tensor:
        training = self.training
        if self.kind == "dropout":
            return F.dropout(x, 0.5, training)
        if self.kind == "torch":
            return torch.dropout(x, 0.5, training)
        if self.kind == "channels":
            return F.dropout2d(x, p=0.5, training=training)
        if self.kind == "batch norm":
            count = x.shape[1]
            return F.batch_norm(x, torch.zeros(count), torch.ones(count), training=training)
        if self.kind == "rrelu":
            return F.rrelu(x, training=training)
        flat = x.flatten(2)
        share = 0.5 if training else 0.0
        return F.scaled_dot_product_attention(flat, flat, flat, None, share).view_as(x)

    def forward(self, features: list[Tensor], *others: Any) -> Any:
        return self.inner([self._changed(x) for x in features], *others)

    def compute_loss(self, *arguments: Any) -> Any:
        return self.inner.compute_loss(*arguments)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["dropout", "torch", "channels", "batch norm", "rrelu", "attention"])
def test_functions_stay_in_eval_mode_in_losses(kind: str) -> None:
    detector = _torchvision_detector("retinanet")
    detector.head = Head(detector.head, kind)
    for parameter in detector.head.parameters():  # an untrained head hardly looks at its input
        nn.init.normal_(parameter, std=0.1)
    detector.eval()
    images = torch.rand(1, 3, 40, 56)
    truth = boxes([4, 4, 30, 36], labels=[1])
    batch, targets = detector.transform(list(images), [dict(truth)])

    def loss() -> Tensor:
        losses = detector.compute_loss(targets, detector.head(features), anchors)
        return torch.stack(list(losses.values())).sum()[None]

    with torch.no_grad():
        features = list(detector.backbone(batch.tensors)[None])
        anchors = detector.anchor_generator(batch, features)
        wanted = loss()
        task = build_task("detection", model=detector)
        torch.testing.assert_close(task.loss(images, [truth]), wanted)
        detector.head.training = True
        assert abs(float(loss() - wanted)) > 1e-4 * float(wanted)
    assert not any(part.training for part in task.modules())


def test_a_detector_may_offer_its_losses(images: Tensor) -> None:
    class Offers(Finder):
        def losses(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
            assert not self.training and len(images) == 1
            return {"mean": images[0].mean(), "boxes": targets[0]["boxes"].sum()}

    task = build_task("detection", model=Offers())
    truth = [boxes([4.0, 4, 10, 10], labels=[0]), boxes(labels=[]), boxes([0.0, 0, 1, 1], labels=[2])]
    torch.testing.assert_close(task.loss(images, truth), images.mean((1, 2, 3)) + torch.tensor([28.0, 0, 2]))

    class Wrong(Finder):
        def losses(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Any:
            return {}

    with pytest.raises(TypeError, match=r"losses must be tensors by name, not {}"):
        build_task("detection", model=Wrong()).loss(images, truth)


def test_dense_targets_of_other_pictures_are_named(images: Tensor) -> None:
    task = build_task("detection", model=DenseFinder())
    with pytest.raises(ValueError, match=r"targets\[0\] must hold dense\['logits'\] of shape \(2, 11, 17\)"):
        task.loss(images, task.targets(images[..., :1]))


@pytest.mark.parametrize("kind", ["fcos", "retinanet", "ssd", "faster-rcnn"])
def test_detectors_of_torchvision(kind: str) -> None:
    task = build_task("detection", model=_torchvision_detector(kind), threshold=0.1).train()
    state = {name: value.clone() for name, value in task.state_dict().items()}
    images = torch.rand(2, 3, 40, 56)
    truth = [boxes([4, 4, 30, 36], [20, 10, 50, 30], labels=[1, 2]), boxes(labels=[])]
    leaf = images.clone().requires_grad_()
    before = torch.get_rng_state()
    loss = task.loss(leaf, truth)
    assert torch.equal(before, torch.get_rng_state())
    loss.sum().backward()
    assert loss.isfinite().all() and loss[0] > 0 and leaf.grad is not None and leaf.grad[0].abs().sum() > 0
    torch.rand(5)
    torch.testing.assert_close(task.loss(images, truth), loss.detach())
    torch.testing.assert_close(task.loss(images[1:], truth[1:]), loss[1:].detach())
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
    assert not any(module.training for module in task.modules())
    targets = task.targets(images)
    if kind == "faster-rcnn":
        assert "dense" not in targets[0]
        return
    torch.testing.assert_close(task.loss(images, targets), torch.zeros(2), atol=1e-5, rtol=0)
    noisy = (images + 0.1 * torch.randn_like(images)).requires_grad_()
    divergence = task.loss(noisy, targets)
    divergence.sum().backward()
    assert (divergence > 0).all() and noisy.grad is not None and (noisy.grad.abs().sum((1, 2, 3)) > 0).all()
    torch.testing.assert_close(task.loss(noisy[1:], targets[1:]), divergence[1:])


@pytest.mark.parametrize("kind", ["MaskRCNN", "KeypointRCNN"])
def test_detectors_that_find_more_than_boxes_are_asked_for_boxes_alone(kind: str) -> None:
    """Their training losses want true masks and key points beside the boxes."""
    plain = _torchvision_detector("faster-rcnn")
    detection = pytest.importorskip("torchvision.models.detection", reason="torchvision is not installed")
    pooler = pytest.importorskip("torchvision.ops").MultiScaleRoIAlign(["0"], 14, 2)
    more = {f"{kind.removesuffix('RCNN').lower()}_roi_pool": pooler}
    network = getattr(detection, kind)(
        TinyBackbone(),
        4,
        rpn_anchor_generator=plain.rpn.anchor_generator,
        box_roi_pool=plain.roi_heads.box_roi_pool,
        min_size=48,
        max_size=96,
        **more,
    )
    network.load_state_dict(plain.state_dict(), strict=False)
    kept = set(network.state_dict())
    images = torch.rand(1, 3, 40, 56)
    truth = [boxes([4, 4, 30, 36], [20, 10, 50, 30], labels=[1, 2])]
    task, wanted = build_task("detection", model=network), build_task("detection", model=plain)
    torch.testing.assert_close(task.loss(images, truth), wanted.loss(images, truth))
    own = task.targets(images)
    assert set(own[0]) == {"boxes", "labels", "scores"}
    assert task.scores(images, own)["f1"].tolist() == [1]
    assert set(network.state_dict()) == kept


class Cells(nn.Module):
    """Gives boxes and scores of many places for a batch, or for a list."""

    def __init__(self, takes_lists: bool) -> None:
        super().__init__()
        self.takes_lists = takes_lists

    def forward(self, x: Any) -> dict[str, Tensor]:
        x = torch.stack(x) if self.takes_lists else x
        return {"boxes": x.new_zeros(x.shape[0], 5, 4), "scores": x.new_zeros(x.shape[0], 5, 2)}


@pytest.mark.parametrize(("takes_lists", "text"), [(False, "could not be called"), (True, "gave str for a")])
def test_a_network_of_cells_without_cells_is_told(takes_lists: bool, text: str, images: Tensor) -> None:
    task = build_task("detection", model=Cells(takes_lists))
    with pytest.raises(TypeError, match=rf"{text}.* list of pictures \(3, H, W\).*say cells=\{{\}}"):
        task.targets(images)
    assert build_task("detection", model=Cells(False), cells={}).targets(images)


def test_losses_of_several_pictures_are_means() -> None:
    values = [{"boxes": 1.0, "classes": 5.0}, {"boxes": 3.0, "classes": 0.0}]
    means = mean_losses([{name: torch.tensor(value) for name, value in one.items()} for one in values])
    assert {name: float(value) for name, value in means.items()} == {"boxes": 2.0, "classes": 2.5}
