"""Boxes and their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from npp.tasks.boxes import AveragePrecision, area, f1
from npp.tasks.detectors import resolve_detector, training_loss
from npp.tasks.task import Metric, Task, check_images, check_targets

LOSSES = ("auto", "dense", "training")
Detections = dict[str, Any]


def _checked(target: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    """Boxes (K, 4) and labels (K,) of a target, on the device; boxes without area are left out."""
    if not isinstance(target, Mapping) or not {"boxes", "labels"} <= set(target):
        raise ValueError(f"targets must be dicts with 'boxes' and 'labels', not {target!r}")
    boxes = torch.as_tensor(target["boxes"], device=device).float().reshape(-1, 4)
    labels = torch.as_tensor(target["labels"], device=device).long()
    if labels.shape != (len(boxes),):
        raise ValueError(f"a target has {len(boxes)} boxes but labels of shape {tuple(labels.shape)}")
    solid = area(boxes) > 0
    return {"boxes": boxes[solid], "labels": labels[solid]}


class Detection(Task):
    """A detector of torchvision's interface: FCOS, RetinaNet, SSD, Faster R-CNN, FastestDet, one's own.

    That interface is: a list of pictures (3, H, W) in [0, 1] to a dict ``boxes`` (K, 4) x1, y1, x2, y2 in
    pixels, ``labels``, ``scores`` each; with targets and in training mode to a dict of losses.

    Targets are dicts with ``boxes`` and ``labels``. Those of :meth:`targets` hold the network's own
    detections above ``threshold`` and, if the network has ``dense(images)`` and ``divergence(clean, now)``,
    also what it says at every place; the loss is then the divergence from that, 0 on the clean picture.
    Other targets take the sum of the network's training losses on that picture, in which batch norm,
    dropout and the scale stay as in eval mode and the sampling of two-stage detectors is the same in every
    call; it is not least on the clean picture.

    Args:
        model: a network, ``fastestdet:PATH``, ``torchvision:NAME[:WEIGHTS]`` or
            ``python:package.module:function``.
        threshold: least score of pseudo ground truth, and of predictions that count for F1.
        loss: ``"dense"``, ``"training"``, or ``"auto"`` for dense where the targets have it.
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
    ) -> None:
        super().__init__(resolve_detector(model))
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, not {threshold}")
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        self._offers_dense = hasattr(self.network, "dense") and hasattr(self.network, "divergence")
        if loss == "dense" and not self._offers_dense:
            raise ValueError("loss 'dense' needs a network with dense(images) and divergence(clean, now)")
        self.threshold = threshold
        self.loss_kind = loss

    def _dense(self, images: Tensor) -> dict[str, Tensor]:
        network: Any = self.network
        dense: dict[str, Tensor] = network.dense(images.float())
        return dense

    def _above(self, found: Mapping[str, Tensor]) -> Detections:
        sure = found["scores"] >= self.threshold
        return {name: found[name][sure] for name in ("boxes", "labels", "scores")}

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[Any]:
        """A dict ``boxes``, ``labels``, ``scores`` for each picture, uncertain ones included."""
        check_images(images)
        found: list[Any] = self.network(list(images.float().unbind()))
        return found

    @torch.no_grad()
    def targets(self, images: Tensor) -> list[Any]:
        """Detections above the threshold, with ``dense`` where the loss may use it."""
        targets = [self._above(found) for found in self.predict(images)]
        if self._offers_dense and self.loss_kind != "training":
            dense = self._dense(images)
            for index, target in enumerate(targets):
                target["dense"] = {name: values[index] for name, values in dense.items()}
        return targets

    def _uses_dense(self, targets: Sequence[Mapping[str, Any]]) -> bool:
        available = self._offers_dense and all("dense" in target for target in targets)
        if self.loss_kind == "dense" and not available:
            raise ValueError("loss 'dense' needs the targets that Detection.targets gave")
        return available and self.loss_kind != "training"

    def _divergence(self, images: Tensor, targets: Sequence[Mapping[str, Any]]) -> Tensor:
        now = self._dense(images)
        clean = {
            name: torch.stack([target["dense"][name].to(values) for target in targets])
            for name, values in now.items()
        }
        network: Any = self.network
        divergence: Tensor = network.divergence(clean, now)
        return divergence

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """Divergence from what the network said everywhere, or its training losses, (N,)."""
        check_images(images)
        check_targets(images, targets)
        if self._uses_dense(targets):
            return self._divergence(images, targets)
        checked = [_checked(target, images.device) for target in targets]
        each = [training_loss(self.network, *pair) for pair in zip(images.float(), checked, strict=True)]
        return torch.stack(each) if each else images.sum((1, 2, 3))

    @torch.no_grad()
    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """:meth:`loss` as ``"kl"`` if dense, else as ``"loss"``; ``"f1"`` of boxes at IoU 0.5."""
        name = "kl" if self._uses_dense(targets) else "loss"
        loss = self.loss(images, targets)
        checked = [_checked(target, images.device) for target in targets]
        found = [self._above(one) for one in self.predict(images)]
        matched = [f1(*pair) for pair in zip(found, checked, strict=True)]
        return {name: loss, "f1": torch.tensor(matched, device=images.device)}

    def metric(self) -> Metric:
        """Mean average precision, see :class:`AveragePrecision`."""
        return AveragePrecision()
