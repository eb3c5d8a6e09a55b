"""The task of detection: boxes and their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from npp.checks import kind_of, number, one_of
from npp.per_picture import values_by_picture
from npp.tasks.boxes import check_labels, f1, is_clean_output, with_area
from npp.tasks.dense_detector import by_picture
from npp.tasks.detectors import offers_dense, resolve_detector
from npp.tasks.frozen import dtype_of
from npp.tasks.input_format import InputSettings, fed
from npp.tasks.mean_average_precision import AveragePrecision
from npp.tasks.task import Metric, Task, check_images, stacked
from npp.tasks.training_losses import training_loss
from npp.torch_state import widened

LOSSES = ("auto", "dense", "training")
_OF_A_BOX = ("boxes", "labels", "scores")
Detections = dict[str, Any]


def _checked(index: int, target: Any, device: torch.device, classes: int | None) -> dict[str, Tensor]:
    """Boxes (K, 4) and labels (K,) of a target, on the device; boxes without area are left out.

    Raises:
        ValueError: they are something else; the message names the target.
    """
    if not isinstance(target, Mapping) or not {"boxes", "labels"} <= set(target):
        raise ValueError(f"targets[{index}] must be a dict with 'boxes' and 'labels', not {kind_of(target)}")
    boxes = _checked_boxes(index, torch.as_tensor(target["boxes"], dtype=torch.float32, device=device))
    labels = _checked_labels(index, torch.as_tensor(target["labels"], device=device), len(boxes), classes)
    return with_area({"boxes": boxes, "labels": labels}, ("boxes", "labels"))


def _checked_boxes(index: int, boxes: Tensor) -> Tensor:
    """Boxes (K, 4). Raises ValueError unless their corners are in order; the message names the first."""
    if boxes.numel() == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"targets[{index}] must have boxes of shape (K, 4), not {tuple(boxes.shape)}")
    # Comparisons with NaN are False, so NaN is found too.
    right = (boxes[:, :2] <= boxes[:, 2:]).all(1) & boxes.isfinite().all(1)
    if not bool(right.all()):
        wrong = int((~right).nonzero()[0])
        raise ValueError(
            f"targets[{index}] must have boxes x1, y1, x2, y2 in pixels with x1 <= x2 and y1 <= y2, "
            f"not {boxes[wrong].tolist()} (box {wrong})"
        )
    return boxes


def _checked_labels(index: int, labels: Tensor, count: int, classes: int | None) -> Tensor:
    """Labels (K,) of a target's boxes, int64. Raises ValueError unless all are allowed."""
    if labels.shape != (count,):
        raise ValueError(f"targets[{index}] has {count} boxes but labels of shape {tuple(labels.shape)}")
    if len(labels) and (labels.is_floating_point() or labels.dtype == torch.bool):
        raise ValueError(f"targets[{index}] must have labels that are whole numbers, not {labels.dtype}")
    labels = labels.long()
    check_labels(f"targets[{index}]", labels, classes)
    return labels


_INTERFACE = (
    "a detector takes a list of pictures (3, H, W) and gives a dict of boxes, labels and scores for each, as "
    "torchvision's do; for a network that takes a batch and gives boxes and scores of many cells say cells={}"
)


def _called(network: nn.Module, pictures: list[Tensor]) -> list[Any]:
    """The detections. Raises TypeError, which explains the interface, if the network is no detector."""
    try:
        found = list(network(pictures))
    except (TypeError, AttributeError) as error:
        why = str(error).partition("\n")[0]
        raise TypeError(f"the network could not be called as a detector ({why}): {_INTERFACE}") from error
    for one in found:
        if not isinstance(one, Mapping) or not {"boxes", "labels", "scores"} <= one.keys():
            raise TypeError(f"the network gave {kind_of(one)} for a picture: {_INTERFACE}")
    return found


class Detection(Task):
    """A detector: of torchvision's interface (FCOS, RetinaNet, SSD, Faster R-CNN), of transformers (DETR,
    RT-DETR, YOLOS) or Ultralytics (YOLO), an ONNX file of cells (NanoDet-Plus, YOLOX, CenterNet), FastestDet,
    one's own.

    The interface is :class:`npp.tasks.Detector`. A network without ``losses`` must be of torchvision's: a
    list of pictures (3, H, W) in [0, 1] to a dict ``boxes`` (K, 4) x1, y1, x2, y2 in pixels, ``labels``,
    ``scores`` each; with targets and in training mode to a dict of losses.

    Targets are dicts with ``boxes`` and ``labels``. Those of :meth:`targets` hold the network's own
    detections above ``threshold`` and, if the network has ``dense(images)`` and ``divergence(clean, now)``,
    also its dense output; the loss is then the divergence from that, 0 on the clean picture.
    For other targets it is the sum of the network's losses on that picture, in which batch norm, dropout and
    the scale behave as in eval mode and the sampling of two-stage detectors is the same in every call; its
    minimum is not at the clean picture.

    Args:
        model: a network, ``transformers:NAME_OR_PATH``, ``ultralytics:WEIGHTS_OR_YAML``, ``onnx:PATH``,
            ``fastestdet:PATH``, ``torchvision:NAME[:WEIGHTS]`` or ``python:package.module:function``.
        threshold: least score of pseudo ground truth, and of predictions that count for F1.
        loss: ``"dense"``, ``"training"``, or ``"auto"`` for dense if the targets have it.
        input: with cells, and with detectors of transformers and Ultralytics: replaces parts of the network's
            own input, see :class:`npp.tasks.InputFormat`.
        cells: how a file, or a network, that gives boxes and scores of many cells is read, see
            :class:`npp.tasks.CellFormat`; files are read by its defaults.
    """

    name = "detection"
    higher_is_better = MappingProxyType(
        {"kl": False, "loss": False, "f1": True, "map": True, "map_50": True, "map_75": True}
    )

    def __init__(
        self,
        model: str | nn.Module,
        *,
        threshold: float = 0.5,
        loss: Literal["auto", "dense", "training"] = "auto",
        input: InputSettings | None = None,  # noqa: A002
        cells: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(resolve_detector(model, input, cells), copy=False)
        number("threshold", threshold, 0, 1)
        one_of("loss", loss, LOSSES)
        self._offers_dense = offers_dense(self.network)
        if loss == "dense" and not self._offers_dense:
            raise ValueError("loss 'dense' needs a network with dense(images) and divergence(clean, now)")
        self.threshold = threshold
        self.loss_kind = loss

    def _fed(self, images: Tensor) -> Tensor:
        check_images(images)
        return fed(self.network, images)

    def _dense(self, images: Tensor) -> dict[str, Tensor]:
        network: Any = self.network
        dense: dict[str, Tensor] = network.dense(self._fed(images))
        self.check_output(images, dense)
        return dense

    def _found(self, images: Tensor, dense: Mapping[str, Tensor] | None = None) -> list[Any]:
        """Detections, from the dense output if the network can make them from it."""
        network: Any = self.network
        pictures = list(self._fed(images).unbind())
        if dense is not None and hasattr(network, "detections"):
            return list(network.detections(dense, pictures))
        found = _called(network, pictures)
        self.check_output(images, found)
        return found

    def _above(self, found: Mapping[str, Tensor]) -> Detections:
        sure = found["scores"] >= self.threshold
        return {name: found[name][sure] for name in _OF_A_BOX}

    def predict(self, images: Tensor) -> list[Any]:
        """A dict ``boxes``, ``labels``, ``scores`` for each picture, including detections of low score."""
        return self._found(images)

    def targets(self, images: Tensor) -> list[Any]:
        """Detections above the threshold, with ``dense`` if the loss may use it."""
        if not self._goes_by_dense:
            return [self._above(found) for found in self._found(images)]
        dense = self._dense(images)
        certain = [self._above(found) for found in self._found(images, dense)]
        return [{**boxes, "dense": one} for boxes, one in zip(certain, by_picture(dense), strict=True)]

    def loss_targets(self, images: Tensor) -> list[Any]:
        """``dense`` alone if the loss uses it, for boxes are not needed then; else :meth:`targets`."""
        if not self._goes_by_dense:
            return self.targets(images)
        return [{"dense": one} for one in by_picture(self._dense(images))]

    @property
    def _goes_by_dense(self) -> bool:
        return self._offers_dense and self.loss_kind != "training"

    def _uses_dense(self, targets: Sequence[Mapping[str, Any]]) -> bool:
        given = all(isinstance(target, Mapping) and "dense" in target for target in targets)
        if self.loss_kind == "dense" and not given:
            raise ValueError("loss 'dense' needs the targets that Detection.targets gave")
        return given and self._goes_by_dense

    def _divergence(
        self, images: Tensor, dense: Mapping[str, Tensor], targets: Sequence[Mapping[str, Any]]
    ) -> Tensor:
        now = {name: widened(values) for name, values in dense.items()}
        clean = {
            name: stacked(f"dense[{name!r}]", [target["dense"][name] for target in targets], values)
            for name, values in now.items()
        }
        network: Any = self.network
        found = network.divergence(clean, now)
        self.check_output(images, {"divergence": found})
        return values_by_picture(
            f"the network of the task {self.name!r}", "a divergence", found, len(targets)
        )

    def _all_checked(self, images: Tensor, targets: Sequence[Any]) -> list[dict[str, Tensor]]:
        check_images(images)
        classes = getattr(self.network, "class_count", None)
        return [_checked(index, target, images.device, classes) for index, target in enumerate(targets)]

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Divergence from the dense output in the targets, or the network's losses, (N,)."""
        if self._uses_dense(targets):
            return self._divergence(images, self._dense(images), targets)
        checked = self._all_checked(images, targets)
        given = images.to(dtype_of(self.network))  # losses of other packages need boxes of the same dtype
        each = [
            # Some detectors change their input in place, which gradients forbid for views of a batch.
            training_loss(self.network, image.clone(), target)
            for image, target in zip(given, checked, strict=True)
        ]
        loss = torch.stack(each) if each else images.sum((1, 2, 3))
        self.check_output(images, {"losses": loss})
        return loss

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """:meth:`loss` as ``"kl"`` if dense, else as ``"loss"``; ``"f1"`` of boxes at IoU 0.5.

        Targets with ``scores`` are the network's own output: boxes without area count on neither side.
        With real labels, a detection without area is a wrong one.
        """
        checked = self._all_checked(images, targets)
        dense = self._dense(images) if self._uses_dense(targets) else None
        loss = self.loss(images, targets) if dense is None else self._divergence(images, dense, targets)
        sure = [self._above(detections) for detections in self._found(images, dense)]
        for index, target in enumerate(targets):
            if is_clean_output(target):  # boxes without area in clean outputs are left out
                sure[index] = with_area(sure[index], _OF_A_BOX)
        matched = [f1(*pair) for pair in zip(sure, checked, strict=True)]
        f1_scores = torch.tensor(matched, dtype=torch.float32, device=images.device)
        return {"loss" if dense is None else "kl": loss, "f1": f1_scores}

    def metric(self) -> Metric:
        """Mean average precision, see :class:`AveragePrecision`."""
        return AveragePrecision()
