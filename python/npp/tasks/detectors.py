"""What the detection task wants of a detector, and detectors by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn import functional as F

import npp.tasks.mmdet_detector as mmdet_detector
from npp.tasks.cell_detector import CellDetector, CellFormat
from npp.tasks.divergence import binary_kl, kl_divergence
from npp.tasks.fastestdet import FastestDet
from npp.tasks.input_format import InputFormat, Prepared
from npp.tasks.networks import own_network
from npp.tasks.onnx_files import load_onnx
from npp.tasks.training_losses import TorchvisionDetector

Dense = dict[str, Tensor]


class Detector(Protocol):
    """The interface of detectors; boxes are x1, y1, x2, y2 in pixels of the picture.

    ``dense(images)``, from (N, 3, H, W) to tensors (N, ...) by name, and ``divergence(clean, now)`` of two
    such dicts, (N,), may be offered besides: the change of what the detector says everywhere. So may
    ``class_count``, the number of classes, whose labels are from 0 to ``class_count - 1``.
    """

    def __call__(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """``boxes`` (K, 4), ``labels`` (K,), ``scores`` (K,) of each picture (3, H, W) in [0, 1]."""

    def losses(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> Mapping[str, Tensor]:
        """Losses of pictures with ``boxes`` (K, 4) and ``labels`` (K,) each, scalars by name.

        The network is in eval mode. One picture is given at a time; a target may have no boxes.
        """


def has_dense_head(model: nn.Module) -> bool:
    """Whether this is built as FCOS, RetinaNet and SSD are in torchvision."""
    return all(hasattr(model, part) for part in ("transform", "backbone", "head", "postprocess_detections"))


def _logit_kl(clean: Tensor, now: Tensor) -> Tensor:
    return binary_kl(clean.sigmoid(), now.sigmoid())


class _OwnDense(TorchvisionDetector):
    """A detector of torchvision's interface that offers ``dense`` and ``divergence`` itself."""

    def dense(self, images: Tensor) -> Any:
        """As the detector's."""
        detector: Any = self.detector
        return detector.dense(images)

    def divergence(self, clean: Dense, now: Dense) -> Any:
        """As the detector's."""
        detector: Any = self.detector
        return detector.divergence(clean, now)


class OneStage(TorchvisionDetector):
    """A detector of torchvision's interface that also offers :meth:`dense`.

    Args:
        detector: FCOS, RetinaNet, SSD or one with the same parts.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__(detector)
        # Mining negatives goes with a softmax over the classes and the background, as in SSD.
        self._softmax = hasattr(detector, "neg_to_pos_ratio")

    def dense(self, images: Tensor) -> Dense:
        """Logits (N, A, K), box regression (N, A, 4) and, with FCOS, centre-ness (N, A, 1) of all anchors."""
        detector: Any = self.detector
        batch, _ = detector.transform(list(images.unbind()))
        features = detector.backbone(batch.tensors)
        levels = [features] if isinstance(features, Tensor) else list(features.values())
        dense: Dense = detector.head(levels)
        return dense

    def _classes(self, clean: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """KL of the classes at each anchor (N, A), and how surely something was there."""
        if self._softmax:
            divergence = kl_divergence(clean.log_softmax(-1), now.log_softmax(-1), dim=-1)
            return divergence, 1 - clean.softmax(-1)[..., 0]
        return _logit_kl(clean, now).sum(-1), clean.sigmoid().amax(-1)

    def divergence(self, clean: Dense, now: Dense) -> Tensor:
        """Change of all anchors (N,): KL of the classes, and of the boxes as far as something was there.

        Boxes count by the smooth L1 distance of their regression, centre-ness by its KL.
        """
        places, weight = self._classes(clean["cls_logits"], now["cls_logits"])
        boxes = F.smooth_l1_loss(now["bbox_regression"], clean["bbox_regression"], reduction="none").sum(-1)
        places = places + weight * boxes
        if "bbox_ctrness" in clean:
            places = places + weight * _logit_kl(clean["bbox_ctrness"], now["bbox_ctrness"]).squeeze(-1)
        return places.sum(1)


def _with_losses(detector: nn.Module) -> nn.Module:
    """The detector behind the whole interface."""
    if hasattr(detector, "losses"):
        return detector
    if offers_dense(detector):
        return _OwnDense(detector)
    return OneStage(detector) if has_dense_head(detector) else TorchvisionDetector(detector)


def offers_dense(detector: nn.Module) -> bool:
    """Whether it says what it sees everywhere."""
    return hasattr(detector, "dense") and hasattr(detector, "divergence")


def _of_cells(model: str | nn.Module, cells: CellFormat, settings: Mapping[str, Any] | None) -> nn.Module:
    names = None
    if isinstance(model, str) and model.startswith("onnx:"):
        network, own, names = load_onnx(model.removeprefix("onnx:"))
    else:
        network, own = own_network(model)
    return CellDetector(Prepared(network, own.changed(settings)), cells, names)


def resolve_detector(
    model: str | nn.Module,
    settings: Mapping[str, Any] | None = None,
    cells: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network with the interface of :class:`Detector` that nobody else uses.

    Args:
        model: a network, ``onnx:PATH``, ``fastestdet:PATH`` (of FastestDet.onnx),
            ``torchvision:NAME[:WEIGHTS]`` or ``python:package.module:function``.
        settings: attributes of :class:`npp.tasks.InputFormat` that replace the network's own.
        cells: attributes of :class:`npp.tasks.CellFormat`; a file or a network that says boxes and scores of
            many cells is meant.

    Raises:
        ValueError: settings for a network that fits pictures itself, or one that wants a normalised batch.
        TypeError: neither a name nor a network.
    """
    if cells is not None or (isinstance(model, str) and model.startswith("onnx:")):
        return _of_cells(model, CellFormat.of(cells or {}), settings)
    if settings:
        raise ValueError(
            "input goes with onnx:PATH, or with cells; other detectors fit pictures by themselves"
        )
    if isinstance(model, str) and model.startswith("mmdet:"):
        return mmdet_detector.load(model.removeprefix("mmdet:"))[0]
    if isinstance(model, str) and model.startswith("fastestdet:"):
        path = os.path.expandvars(model.removeprefix("fastestdet:"))
        return FastestDet(Path(path).expanduser())
    network, wants = own_network(model)
    if wants != InputFormat():
        raise ValueError(
            "model must be a detector of torchvision's interface, onnx:PATH or fastestdet:PATH; this one "
            f"wants {wants}"
        )
    return _with_losses(network)
